import os
import signal
from dataclasses import fields

import pytest
import torch
from torch import Tensor

from psmnet.errors import InputError
from psmnet.models.tensors import Episode
from psmnet.training.prefetch import deaths_in_one_line, prefetched


class Counting:
    """Episodes whose every number is the step, and ten times the share."""

    def batch(self, step: int, share: int = 0, shares: int = 1) -> Episode:
        images = torch.full((1, 1, 1, 2, 2), float(step + 10 * share))
        return Episode(images, images, images[0], images[0], torch.ones(1, 1, dtype=torch.bool))


class Killing(Counting):
    """Kills the process that draws step 3, as a system without memory does."""

    def batch(self, step: int, share: int = 0, shares: int = 1) -> Episode:
        if step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().batch(step, share, shares)


class Failing(Counting):
    def batch(self, step: int, share: int = 0, shares: int = 1) -> Episode:
        raise RuntimeError("another fault")


def numbers(episode: Episode) -> Tensor:
    return torch.stack([getattr(episode, field.name).float().mean() for field in fields(episode)])


@pytest.mark.parametrize("workers", [0, 2])
def test_steps_come_in_order_with_this_processs_shares_and_torchs_generator_stays(workers: int):
    state = torch.get_rng_state()
    drawn = list(prefetched(Counting(), range(4, 9), range(1, 3), 4, workers))
    assert [step for step, _ in drawn] == [4, 5, 6, 7, 8]
    for step, parts in drawn:
        expected = [[step + 10.0 * share] * 4 + [1.0] for share in (1, 2)]
        assert torch.stack([numbers(part) for part in parts]).tolist() == expected
    assert torch.equal(torch.get_rng_state(), state)


def test_no_steps_no_batches():
    assert list(prefetched(Counting(), range(5, 5), range(1), 1, 0)) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # torch may tell it while it cleans up
def test_a_killed_process_is_told_in_one_line():
    killed = "that draws batches was killed: probably out of memory.* use fewer workers; resuming goes on"
    with pytest.raises(InputError, match=killed), deaths_in_one_line():
        list(prefetched(Killing(), range(6), range(1), 1, 1))


def test_another_fault_stays_what_it_is():
    with pytest.raises(RuntimeError, match="another fault"), deaths_in_one_line():
        list(prefetched(Failing(), range(2), range(1), 1, 0))
