import numpy as np
import pytest

from helpers.raw_layouts import turned
from psmnet.volume.resample import (
    covering,
    covering_with_extra_slice,
    lattice,
    resample_image,
    resample_labels,
    resample_labels_with_holes,
)
from psmnet.volume.volume import Volume

OBLIQUE = turned(x=20, y=-15, z=35)


def scan(size_xyz=(7, 6, 10), spacing=(1.5, 1.5, 9.0), direction=OBLIQUE):
    array = np.random.default_rng(0).integers(0, 100, size_xyz[::-1]).astype(np.int16)
    return Volume(array, spacing, (-30.0, 12.0, 80.0), direction)


def line(values, spacing=1.0):
    """A scan of one row of voxels along x."""
    return Volume(np.array(values).reshape(1, 1, -1), (spacing, 1, 1))


def on_line(positions):
    """A grid of voxels along x, evenly spaced, the first of them at positions[0]."""
    step = positions[1] - positions[0]
    return lattice((len(positions), 1, 1), (step, 1, 1), line([0]), np.array([positions[0], 0, 0]))


def middle_of(volume):
    return (volume.affine @ [*((np.array(volume.size_xyz) - 1) / 2), 1])[:3]


# ---- grids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("voxels", "spacing", "target", "ours", "faulty"),
    [
        # n s / t    round   int(n s / t + 1)
        (64, 5.0, 1.25, 256, 257),  # 256
        (26, 9.0, 7.7, 30, 31),  # 30.39
        (10, 9.0, 7.7, 12, 12),  # 11.69
        (11, 7.7, 7.7, 11, 12),
        (3, 0.5, 7.7, 1, 1),  # 0.19, and a scan has at least one slice
        (448, 0.7, 0.7 * 448 / 256, 256, 257),
    ],
)
def test_sizes_by_hand(voxels, spacing, target, ours, faulty):
    volume = line(np.zeros(voxels), spacing)
    assert covering(volume, (target, 1, 1)).size_xyz == (ours, 1, 1)
    assert covering_with_extra_slice(volume, (target, 1, 1)).size_xyz[0] == faulty


@pytest.mark.parametrize("target", [(1.5, 1.5, 9.0), (1.25, 1.25, 7.7), (0.4, 2.0, 3.0), (4.0, 4.0, 100.0)])
def test_a_covering_grid_has_the_same_middle_and_reaches_no_further(target):
    volume = scan()
    grid = covering(volume, target)
    np.testing.assert_allclose(middle_of(grid), middle_of(volume), atol=1e-9)
    assert grid.spacing_mm == target
    np.testing.assert_array_equal(grid.direction, volume.direction)
    before, after = (np.array(v.size_xyz) * v.spacing_mm for v in (volume, grid))
    several = np.array(grid.size_xyz) > 1
    assert (np.abs(before - after) <= np.array(target) / 2)[several].all()


def test_the_faulty_grid_begins_at_the_first_voxel():
    grid = covering_with_extra_slice(scan(), (1.25, 1.25, 7.7))
    assert grid.origin_mm == scan().origin_mm
    assert grid.size_xyz == (int(7 * 1.5 / 1.25 + 1), int(6 * 1.5 / 1.25 + 1), int(10 * 9 / 7.7 + 1)) == (9, 8, 12)


def test_a_lattice_takes_no_memory():
    grid = lattice((5000, 5000, 5000), (1, 1, 1), scan(), np.zeros(3))
    assert grid.size_xyz == (5000, 5000, 5000)
    assert grid.array_zyx.strides == (0, 0, 0)


# ---- images ----------------------------------------------------------------------------------------------------


def test_linear_interpolation_by_hand():
    found = resample_image(line([0, 10, 30, 20]), on_line([0.25, 1.0, 1.75, 2.5]))
    assert found.array_zyx.ravel().tolist() == [2.5, 10, 25, 25]
    assert found.array_zyx.dtype == np.float32


def test_beyond_the_scan_lies_its_smallest_value():
    # Up to half a voxel further the scan still reaches: its fringe has the value of its last voxel.
    found = resample_image(line([40, -10, 30]), on_line([-1.0, -0.25, 0.5, 1.25, 2.0, 2.75]))
    assert found.array_zyx.ravel().tolist() == [-10, 40, 15, 0, 30, -10]


def test_a_covering_grid_samples_nothing_beyond_the_scan():
    volume = scan().with_array(np.full((10, 6, 7), 7, np.int16))
    volume.array_zyx[5, 3, 3] = -1000  # the smallest value, far inside
    for target in ((1.25, 1.25, 7.7), (2.0, 0.7, 11.0), (1.49, 1.51, 8.5)):
        array = resample_image(volume, covering(volume, target)).array_zyx
        rim = np.ones(array.shape, bool)
        rim[1:-1, 1:-1, 1:-1] = False
        assert (array[rim] == 7).all()


def test_a_linear_ramp_stays_the_same_ramp_in_space():
    volume = scan()
    gradient = np.array([2.0, -1.0, 0.5])

    def ramp(grid):
        z, y, x = np.indices(grid.array_zyx.shape)
        places = np.stack([x, y, z, np.ones_like(x)], axis=-1) @ grid.affine.T
        return places[..., :3] @ gradient

    volume = volume.with_array(ramp(volume).astype(np.float32))
    found = resample_image(volume, covering(volume, (1.1, 1.3, 4.0)))
    inner = (slice(2, -2), slice(1, -1), slice(1, -1))  # on the fringe half a voxel is flat
    np.testing.assert_allclose(found.array_zyx[inner], ramp(found)[inner], atol=1e-2)


@pytest.mark.parametrize("resample", [resample_image, resample_labels])
def test_what_lies_on_the_grid_already_is_left_as_it_is(resample):
    volume = scan()
    assert resample(volume, covering(volume, (1.5, 1.5, 9.0))) is volume
    # float32 headers hold 7.7 as 7.699999809.
    stored = scan(spacing=(1.25, 1.25, float(np.float32(7.7))))
    assert resample(stored, covering(stored, (1.25, 1.25, 7.7))) is stored


# ---- labels ----------------------------------------------------------------------------------------------------


def test_labels_by_hand():
    # From 1 mm to 2/3 mm about the middle: at -1/6, 1/2, 7/6, 11/6, 5/2, 19/6 mm.
    labels = line(np.array([1, 1, 2, 2], np.uint8))
    grid = covering(labels, (2 / 3, 1, 1))
    assert grid.origin_mm[0] == pytest.approx(-1 / 6)
    assert resample_labels(labels, grid).array_zyx.ravel().tolist() == [1, 1, 1, 2, 2, 2]


def test_between_two_organs_is_no_hole_and_in_the_fields_way_there_is():
    # At 1.5 both organs have a share of exactly one half, and halves are rounded to even: to nothing.
    labels, grid = line(np.array([5, 5, 9, 9], np.uint8)), on_line([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
    assert resample_labels(labels, grid).array_zyx.ravel().tolist() == [5, 5, 5, 5, 9, 9, 9]
    assert resample_labels_with_holes(labels, grid).array_zyx.ravel().tolist() == [5, 5, 5, 0, 9, 9, 9]


def test_where_three_organs_meet():
    # At x 0.4, y 0.3 of four voxels: .6 x .7 = .42 of organ 1, .28 of 2, .18 of 3, .12 of none.
    labels = Volume(np.array([[[1, 2], [3, 0]]], np.uint8))
    grid = lattice((1, 1, 1), (1, 1, 1), labels, np.array([0.4, 0.3, 0]))
    assert resample_labels(labels, grid).array_zyx.item() == 1
    assert resample_labels_with_holes(labels, grid).array_zyx.item() == 0


def test_of_equals_the_background_comes_first_then_the_lower_value():
    halves = [0.5, 1.5, 2.5]
    assert resample_labels(line(np.array([0, 3, 2, 0])), on_line(halves)).array_zyx.ravel().tolist() == [0, 2, 0]
    faulty = resample_labels_with_holes(line(np.array([0, 3, 2, 0])), on_line(halves))
    assert faulty.array_zyx.ravel().tolist() == [0, 0, 0]


def test_beyond_the_scan_there_is_no_label():
    found = resample_labels(line(np.array([4, 4, 4], np.uint8)), on_line([-1.0, 0.0, 1.0, 2.0, 3.0]))
    assert found.array_zyx.ravel().tolist() == [0, 4, 4, 4, 0]


@pytest.mark.parametrize("resample", [resample_labels, resample_labels_with_holes])
def test_labels_keep_their_type_and_values(resample):
    labels = line(np.array([0, 200, 200, 600, 600, 500], np.uint16))
    found = resample(labels, on_line([0.2, 1.4, 2.6, 3.8, 5.0])).array_zyx
    assert found.dtype == np.uint16
    assert found.ravel().tolist() == [0, 200, 600, 600, 500]


def test_no_labels_at_all():
    labels = line(np.zeros(4, np.uint8))
    assert not resample_labels(labels, on_line([0.5, 1.0, 1.5])).array_zyx.any()


def test_no_organ_is_lost_between_many():
    """Thirteen organs side by side, as in SABS: nothing between them is background."""
    array = np.random.default_rng(1).integers(1, 14, (4, 12, 12)).astype(np.uint8)
    labels = Volume(array, (2, 2, 5))
    grid = covering(labels, (0.9, 1.1, 3.0))
    ours, faulty = resample_labels(labels, grid), resample_labels_with_holes(labels, grid)
    assert (ours.array_zyx > 0).all()
    assert (faulty.array_zyx == 0).mean() > 0.3
    agreed = faulty.array_zyx > 0
    assert (ours.array_zyx[agreed] == faulty.array_zyx[agreed]).all()
