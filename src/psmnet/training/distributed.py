"""Training by several processes that torchrun starts, on one machine or more; without torchrun there is one, ALONE."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from psmnet.errors import PsmnetError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: this process's number; 0 alone writes and prints.
        world: how many there are.
        local: its number on its machine, which is its GPU there.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this one writes and prints."""
        return self.rank == 0

    def device(self, asked: torch.device) -> torch.device:
        """This process's own device of the kind that was asked for."""
        return torch.device("cuda", self.local) if asked.type == "cuda" and self.world > 1 else asked

    def in_turn(self, work: Callable[[], Result]) -> Result:
        """Do `work` in the first process, then in the others, which find the files that it made.

        A failure ends all of them: the first that failed tells why, the others say nothing.

        Raises:
            PsmnetError: what went wrong here.
            SystemExit: it went wrong elsewhere.
        """
        if self.world == 1:
            return work()
        result: Result | None = None
        for turn in (self.first, not self.first):
            failed: PsmnetError | None = None
            if turn:
                try:
                    result = work()
                except PsmnetError as error:
                    failed = error
            told: list[bool] = [False] * self.world
            dist.all_gather_object(told, failed is not None)
            if any(told):
                if failed is not None and told.index(True) == self.rank:
                    raise failed
                raise SystemExit(2)
        return result  # type: ignore[return-value]  # one of the turns was this process's

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def wrap(self, module: nn.Module, device: torch.device) -> nn.Module:
        """A module whose gradients are averaged over all processes in its backward pass."""
        if self.world == 1:
            return module
        if device.type == "cuda":  # on a CPU torch has no BatchNorm over processes: each takes its own statistics
            module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return DistributedDataParallel(module)


ALONE = Ranks()


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the other processes that torchrun started; ALONE where it started none, or one."""
    world = int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if world == 1:
        yield ALONE
        return
    ranks = Ranks(int(os.environ["RANK"]), world, int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield ranks
    except RuntimeError as error:
        if ranks.first or "peer" not in str(error):
            raise
        raise SystemExit(2) from error  # the first process is gone and has told why
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def gradients_kept(module: nn.Module, *, here: bool) -> Iterator[None]:
    """Inside, gradients of a wrapped module add up `here` and are not averaged yet."""
    if here and isinstance(module, DistributedDataParallel):
        with module.no_sync():
            yield
    else:
        yield
