"""Which slices a student sees, and how they are cut."""

import numpy as np
import pytest
import torch

from psmnet.config import AugmentConfig
from psmnet.learning.student_batches import SlicePool, StudentBatches
from psmnet.learning.targets import IGNORED, Taught
from psmnet.training import generator_of

NONE = AugmentConfig(rotation_deg=0, shear_deg=0, shift_px=0, scale=(1, 1), elastic_alpha_px=0, gamma=(1, 1))
SOME = AugmentConfig(noise=0.1, bias_field=0.3)


def taught(slices: int = 6, size: tuple[int, int] = (16, 16), first: int = 1, opened: bool = False) -> Taught:
    """Slices of the value of their number; slice 0 shows organ `first`, the others organ 2."""
    images = np.broadcast_to(np.arange(slices, dtype=np.float32)[:, None, None], (slices, *size)).copy()
    labels = np.zeros((slices, *size), dtype=np.uint8)
    labels[0, 4:8, 4:8], labels[1:, 4:8, 4:8] = first, 2
    neighbours = np.clip(np.arange(slices)[:, None] + np.array([-1, 0, 1]), 0, slices - 1)
    return Taught(images, labels, neighbours, np.array([False, opened]))


def batches(seed: int = 3) -> StudentBatches:
    pools = [(SlicePool([taught()], 2, 0.5, SOME), 1), (SlicePool([taught(4, opened=True)], 2, 0.5, SOME), 3)]
    return StudentBatches(pools, 16, seed)


def test_the_same_step_has_the_same_batch():
    """Whatever was drawn before: a training that goes on sees what it would have seen."""
    source = batches()
    first = source.batch(7)
    source.batch(2)
    again, other, other_seed = batches().batch(7), source.batch(8), batches(4).batch(7)
    assert torch.equal(first.stacks, again.stacks)
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.stacks, other.stacks)
    assert not torch.equal(first.stacks, other_seed.stacks)


def test_a_batch_holds_labelled_slices_first():
    batch = batches().batch(0)
    assert batch.stacks.shape == (4, 3, 16, 16)
    assert batch.labels.shape == (4, 16, 16)
    assert batch.labels.dtype == torch.int64
    assert batch.open_organs.tolist() == [[False, False], *[[False, True]] * 3]


def test_parts_of_a_batch_are_the_batch():
    whole = batches().batch(0)
    parts = [whole.part(share, 2) for share in (0, 1)]
    assert torch.equal(torch.stack([part.labels for part in parts], dim=1).flatten(0, 1), whole.labels)


def test_a_slice_comes_with_its_neighbours():
    pool = SlicePool([taught()], 2, 0.0, NONE)
    stacks = [pool.draw(16, generator_of(0, number))[0] for number in range(60)]
    seen = {tuple(stack[:, 8, 8].round().int().tolist()) for stack in stacks}
    assert seen == {(0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 5)}


@pytest.mark.parametrize(("balanced", "share"), [(0.0, 1 / 20), (1.0, 1 / 2)])
def test_rare_organs_are_drawn_as_often_as_others(balanced, share):
    """Organ 1 is in one slice of twenty; three standard deviations of 300 draws."""
    pool = SlicePool([taught(20)], 2, balanced, NONE)
    drawn = [pool.draw(16, generator_of(1, number))[1] for number in range(300)]
    found = np.mean([bool((labels == 1).any()) for labels in drawn])
    assert found == pytest.approx(share, abs=3 * (share * (1 - share) / 300) ** 0.5)


def test_without_change_a_slice_is_as_it_is():
    scan = taught(1)
    stack, labels, _ = SlicePool([scan], 2, 0.0, NONE).draw(16, generator_of(0, 0))
    assert np.array_equal(labels.numpy(), scan.labels[0])
    assert torch.allclose(stack, torch.zeros_like(stack), atol=1e-5)


def test_small_slices_are_padded_and_not_labelled_there():
    scan = taught(1, size=(8, 12))
    scan.images[:] = 5.0
    stack, labels, _ = SlicePool([scan], 2, 0.0, NONE).draw(16, generator_of(0, 0))
    inside = np.zeros((16, 16), dtype=bool)
    inside[4:12, 2:14] = True
    assert np.array_equal(labels.numpy() != IGNORED, inside)
    assert np.array_equal(labels.numpy()[4:12, 2:14], scan.labels[0])
    assert torch.allclose(stack, torch.full_like(stack, 5.0), atol=1e-4)  # edges go on


def test_large_slices_are_cut_anywhere():
    scan = taught(1, size=(16, 40))
    scan.labels[:] = 0
    scan.labels[0, :, 0], scan.labels[0, :, -1] = 1, 2
    pool = SlicePool([scan], 2, 0.0, NONE)
    drawn = [pool.draw(16, generator_of(2, number))[1] for number in range(200)]
    assert {int(labels.max()) for labels in drawn} == {0, 1, 2}


def test_an_organ_that_no_scan_shows_is_not_drawn():
    pool = SlicePool([taught(3, first=2)], 2, 1.0, NONE)
    assert all((pool.draw(16, generator_of(0, number))[1] == 2).any() for number in range(5))
