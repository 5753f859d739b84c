"""Draws batches ahead of training, in a thread or, where training is faster than drawing, in other processes."""

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
    """For each step, the shares of its batch that this process takes."""

    source: EpisodeSource
    mine: range
    shares: int

    def __getitem__(self, step: int) -> list[Episode]:
        return [self.source.batch(step, share, self.shares) for share in self.mine]


def prefetched(
    source: EpisodeSource, steps: range, mine: range, shares: int, workers: int
) -> Iterator[tuple[int, list[Episode]]]:
    """Draw the next batches while the network trains on one.

    Args:
        source: of episodes; workers get a pickled copy.
        steps: the steps whose batches are drawn.
        mine: the shares of each batch that this process takes.
        shares: number of shares into which a batch is divided.
        workers: processes that draw, each with one core; 0 for a thread of this process.

    Yields:
        steps in order, each with this process's shares of its batch.

    Raises:
        InputError: a worker was killed. torch may also raise this elsewhere: see `deaths_in_one_line`.
    """
    drawn = _Shares(source, mine, shares)
    if workers:
        loader = DataLoader(
            drawn,
            batch_size=None,  # an item is a whole batch
            collate_fn=_unchanged,
            sampler=steps,
            num_workers=workers,
            multiprocessing_context="spawn",  # as in `map_cases`; CUDA does not work after a fork
            generator=torch.Generator(),  # else it would advance the global generator
        )
        try:
            yield from zip(steps, loader, strict=True)
        except (ConnectionError, EOFError, FileNotFoundError) as error:  # the killed process held the batch
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
    """Turn torch's error about a killed worker into one line with a remedy.

    torch raises it from a signal handler, at whatever line the main thread has reached.

    Raises:
        InputError: a worker was killed.
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
