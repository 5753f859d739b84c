import itertools

import numpy as np
import pytest
import torch

from psmnet.segmentation.student_view import StudentView
from psmnet.volume.geometry import Reorientation
from psmnet.volume.normalisation import Normalisation
from psmnet.volume.volume import Volume

RULE = Normalisation("clip-zscore")


def scan(size_xyz, spacing_mm, low=0):
    array = np.random.default_rng(0).integers(low, 1000, size_xyz[::-1]).astype(np.int16)
    return Volume(array, spacing_mm)


def test_pixels_of_an_abdomen_are_2_mm():
    view = StudentView.of([scan((128, 100, 4), (2.5, 2.5, 8.0))], RULE)
    assert view.pixel_mm == 320 / 160
    assert view.neighbour_mm == 7
    assert view.grid(scan((128, 100, 4), (2.5, 2.5, 8.0))).scaled_yx == (125, 160)


def test_pixels_of_a_tiny_scan_are_not_smaller_than_half_its_own():
    tiny = scan((36, 50, 35), (1, 1, 1))
    view = StudentView.of([tiny], RULE)
    assert view.pixel_mm == 0.5, "50 mm / 160 would be 0.3125 mm"
    grid = view.grid(tiny)
    assert grid.scaled_yx == (100, 72)
    assert grid.padded_yx == (112, 80), "multiples of 16"
    assert view.images(tiny).shape == (35, 112, 80)


def test_pixels_of_a_wide_ct():
    wide = scan((512, 512, 3), (500 / 512, 500 / 512, 5), -1000)
    view = StudentView.of([wide], RULE)
    assert view.pixel_mm == pytest.approx(3.125)
    assert view.grid(wide).padded_yx == (160, 160)
    narrower = StudentView.of([scan((160, 160, 3), (2, 2, 5))], RULE)
    assert narrower.grid(wide).padded_yx == (256, 256), "250 pixels of 2 mm: never squeezed"


def test_the_widest_labelled_scan_counts_and_the_finest():
    wide, fine = scan((100, 80, 3), (4, 4, 8)), scan((64, 64, 3), (0.5, 0.5, 8))
    assert StudentView.of([fine, wide], RULE).pixel_mm == StudentView.of([wide, fine], RULE).pixel_mm == 2.5


@pytest.mark.parametrize(
    ("slice_mm", "expected"),
    [
        (20.0, [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]),
        (7.0, [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]),
        (3.0, [[0, 0, 2], [0, 1, 3], [0, 2, 3], [1, 3, 3]]),
        (1.0, [[0, 0, 3], [0, 1, 3], [0, 2, 3], [0, 3, 3]]),
    ],
)
def test_neighbours_are_7_mm_apart_and_repeat_at_the_ends(slice_mm, expected):
    view = StudentView.of([scan((128, 128, 3), (2.5, 2.5, 8.0))], RULE)
    assert view.neighbours(4, slice_mm).tolist() == expected


@pytest.mark.parametrize("slice_mm", [1.0, 3.0, 9.0])
@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_stacks_are_the_images_with_their_neighbours(slice_mm, count):
    image = scan((40, 32, 11), (4, 4, slice_mm))
    view = StudentView.of([scan((40, 32, 11), (4, 4, 9))], RULE)
    images = view.images(image)
    batches, stacks = zip(*view.stacks(image, count), strict=True)
    assert [number for batch in batches for number in range(batch.start, batch.stop)] == list(range(11))
    assert max(map(len, stacks)) == min(count, 11)
    assert torch.allclose(torch.cat(stacks), images[torch.from_numpy(view.neighbours(11, slice_mm))], atol=1e-6)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True)])
def test_however_a_scan_is_stored_it_is_shown_the_same(axes, flips):
    image = scan((40, 32, 5), (4, 4, 9))
    view = StudentView.of([image], RULE)
    stored = Reorientation(axes, flips).apply(image)
    turn, notes = view.turn(stored)
    assert not notes
    assert torch.equal(view.images(turn.apply(stored)), view.images(image))


def test_ct_is_windowed_as_in_training():
    ct = scan((64, 64, 4), (4, 4, 9), -1000)
    clipped = ct.with_array(np.clip(ct.array_zyx, -125, 275))
    view = StudentView.of([ct], RULE)
    inside = view.images(clipped.with_array(clipped.array_zyx + 0))
    assert torch.allclose(view.images(ct), inside, atol=1e-5)
