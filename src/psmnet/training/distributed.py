"""Training by several processes that torchrun starts, on one or more machines; without torchrun there is one, ALONE."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from psmnet.errors import PsmnetError

Result = TypeVar("Result")

# Torch would give up after 10 (NCCL) or 30 minutes. The others wait in `Ranks.in_turn` while the first process reads,
# checks or segments a whole cohort of scans, which takes hours; a process that dies is noticed without any limit,
# since torchrun then ends the others.
WAIT = timedelta(days=1)


@dataclass(frozen=True)
class Ranks:
    """This process among the processes that train together.

    Attributes:
        rank: number of this process; only rank 0 writes and prints.
        world: number of processes.
        local: number of this process on its machine, and of its GPU there.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def device(self, kind: torch.device) -> torch.device:
        """This process's device of the requested kind."""
        return torch.device("cuda", self.local) if kind.type == "cuda" and self.world > 1 else kind

    def in_turn(self, work: Callable[[], Result]) -> Result:
        """Do `work` in the first process, then in the others, so that they find the files that the first one wrote.

        A failure ends all processes; only the first that failed raises its error.

        Raises:
            PsmnetError: the work failed in this process.
            SystemExit: it failed in another one.
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
            failures: list[bool] = [False] * self.world
            dist.all_gather_object(failures, failed is not None)
            if any(failures):
                if failed is not None and failures.index(True) == self.rank:
                    raise failed
                raise SystemExit(2)
        return result  # type: ignore[return-value]  # one of the turns was this process's

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def wrap(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Wrap a module so that its backward pass averages gradients over all processes."""
        if self.world == 1:
            return module
        if device.type == "cuda":  # torch has no BatchNorm over processes on CPUs
            module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return DistributedDataParallel(module)


ALONE = Ranks()


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun started; ALONE where it started at most one."""
    world = int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if world == 1:
        yield ALONE
        return
    ranks = Ranks(int(os.environ["RANK"]), world, int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=WAIT)
    try:
        yield ranks
    except RuntimeError as error:
        if ranks.first or "peer" not in str(error):
            raise
        raise SystemExit(2) from error  # the first process has ended and printed the reason
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def gradients_kept(module: nn.Module, *, here: bool) -> Iterator[None]:
    """While `here` is true, gradients of a wrapped module add up in this process and are not averaged yet."""
    if here and isinstance(module, DistributedDataParallel):
        with module.no_sync():
            yield
    else:
        yield
