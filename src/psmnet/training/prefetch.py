"""Batches drawn ahead: by a thread, or by processes of their own where training is faster than drawing."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset

from psmnet.errors import InputError
from psmnet.models import Episode
from psmnet.system import MAIN_GUARD, process_died
from psmnet.training.episodes import EpisodeSource


@dataclass(frozen=True)
class _Shares(Dataset[list[Episode]]):
    """By step, the parts of its batch that this process takes."""

    source: EpisodeSource
    mine: range
    shares: int

    def __getitem__(self, step: int) -> list[Episode]:
        return [self.source.batch(step, share, self.shares) for share in self.mine]


def prefetched(
    source: EpisodeSource, steps: range, mine: range, shares: int, workers: int
) -> Iterator[tuple[int, list[Episode]]]:
    """Draw the next batches while one trains.

    Args:
        source: of episodes; with workers it is pickled.
        steps: whose batches.
        mine: the shares of a batch that this process takes.
        shares: into which a batch is divided.
        workers: processes that draw, each with one core; 0 for a thread of this one.

    Yields:
        each step with this process's shares of its batch, in order.

    Raises:
        InputError: a process that draws died. torch may notice it elsewhere, too: see `deaths_in_one_line`.
    """
    drawn = _Shares(source, mine, shares)
    if workers:
        loader = DataLoader(
            drawn,
            batch_size=None,  # what is drawn is a batch
            collate_fn=_unchanged,
            sampler=steps,
            num_workers=workers,
            multiprocessing_context="spawn",  # as `parallel.map_cases`, and CUDA doesn't outlive a fork
            generator=torch.Generator(),  # else it takes a number from the one that all share
        )
        try:
            yield from zip(steps, loader, strict=True)
        except (ConnectionError, EOFError, FileNotFoundError) as error:  # the batch lies with the process that drew it
            raise _dead() from error
        return
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(drawn.__getitem__, steps.start) if len(steps) else None
        for step in steps:
            assert coming is not None
            parts = coming.result()
            coming = pool.submit(drawn.__getitem__, step + 1) if step + 1 < steps.stop else None
            yield step, parts


@contextlib.contextmanager
def deaths_in_one_line() -> Iterator[None]:
    """Say what a user can do where a process that draws batches dies.

    torch raises its RuntimeError from a signal, so at whatever line the main thread has come to.

    Raises:
        InputError: one died.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise _dead() from error


def _dead() -> InputError:
    return process_died(
        "a process that draws batches",
        "use fewer workers; resuming goes on from the last checkpoint",
        also=("out of shared memory (/dev/shm)", MAIN_GUARD),
        code="batch-workers",
    )


def _unchanged(parts: list[Episode]) -> list[Episode]:
    return parts
