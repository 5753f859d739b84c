import copy
import pickle

import numpy as np
import pytest

from psmnet.errors import InputError
from psmnet.evaluation.metrics import METRICS, score, surface_distances_mm

SHAPE = (6, 8, 10)


def box(z: slice, y: slice, x: slice, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[z, y, x] = True
    return mask


EMPTY = np.zeros(SHAPE, dtype=bool)
PLATE = box(slice(2, 3), slice(2, 4), slice(2, 6))  # one slice, 2 x 4 voxels: all of them border


def test_identical_masks():
    scores = score(PLATE, PLATE, (1.0, 2.0, 3.0))
    assert (scores.dice, scores.iou, scores.precision, scores.recall) == (1, 1, 1, 1)
    assert (scores.hd95_mm, scores.assd_mm, scores.nsd_2mm) == (0, 0, 1)
    assert scores.false_positive_ml is None
    assert not scores.empty_prediction


def test_overlaps_of_boxes_of_different_size():
    reference = box(slice(0, 4), slice(0, 4), slice(0, 4))  # 64 voxels
    prediction = box(slice(1, 3), slice(1, 3), slice(2, 8))  # 24 voxels, 2 x 2 x 2 of them inside
    scores = score(prediction, reference, (1.0, 1.0, 1.0))
    assert scores.dice == pytest.approx(16 / 88)
    assert scores.iou == pytest.approx(8 / 80)
    assert scores.precision == pytest.approx(8 / 24)
    assert scores.recall == pytest.approx(8 / 64)


@pytest.mark.parametrize(
    ("spacing_mm", "moved_zyx", "dice", "hd95_mm", "assd_mm", "nsd"),
    [
        # Across the slice, 3 mm: every voxel is that far from the other plate.
        ((1.0, 1.0, 3.0), (1, 0, 0), 0.0, 3.0, 3.0, 0.0),
        # Along x by 1 mm: 6 of 8 voxels coincide, 2 are 1 mm away (percentile 95 falls between those two).
        ((1.0, 5.0, 9.0), (0, 0, 1), 0.75, 1.0, 2 / 8, 1.0),
        # The same at 3 mm per voxel.
        ((3.0, 5.0, 9.0), (0, 0, 1), 0.75, 3.0, 2 * 3 / 8, 6 / 8),
        # Along y by both rows of 2 mm: one row is 2 mm, the other 4 mm away.
        ((1.0, 2.0, 9.0), (0, 2, 0), 0.0, 4.0, 3.0, 0.5),
    ],
)
def test_a_moved_plate(spacing_mm, moved_zyx, dice, hd95_mm, assd_mm, nsd):
    moved = np.roll(PLATE, moved_zyx, axis=(0, 1, 2))
    for scores in (score(moved, PLATE, spacing_mm), score(PLATE, moved, spacing_mm)):
        assert scores.dice == pytest.approx(dice)
        assert scores.hd95_mm == pytest.approx(hd95_mm)
        assert scores.assd_mm == pytest.approx(assd_mm)
        assert scores.nsd_2mm == pytest.approx(nsd)


def test_distance_across_two_axes_and_anisotropic_spacing():
    first, second = box(slice(1, 2), slice(1, 2), slice(1, 2)), box(slice(2, 3), slice(1, 2), slice(4, 5))
    scores = score(first, second, (1.0, 7.0, 4.0))  # 3 voxels of 1 mm in x, 1 of 4 mm in z: 5 mm
    assert scores.hd95_mm == pytest.approx(5.0)
    assert scores.assd_mm == pytest.approx(5.0)


def test_surfaces_of_a_solid_cube():
    cube, moved = (box(slice(1, 4), slice(1, 4), slice(x, x + 3)) for x in (1, 2))
    # Of 27 voxels 26 are border. Of those of `moved`, the first plane's middle lies on the cube's inner voxel and is
    # 1 mm from its border, the last plane's 9 are 1 mm from the cube, the other 16 coincide.
    to_cube, to_moved = surface_distances_mm(moved, cube, (1.0, 1.0, 1.0))
    for distances in (to_cube, to_moved):
        assert sorted(distances) == [0] * 16 + [1] * 10
    assert score(moved, cube, (1.0, 1.0, 1.0)).assd_mm == pytest.approx(10 / 26)


def test_beyond_the_array_is_outside():
    full = np.ones((3, 3, 3), dtype=bool)
    middle = box(slice(1, 2), slice(1, 2), slice(1, 2), (3, 3, 3))
    to_full, _ = surface_distances_mm(middle, full, (1.0, 1.0, 1.0))
    assert to_full.tolist() == [1.0]  # the array's faces are the border of a mask that fills it


def test_distances_do_not_depend_on_where_in_the_array_the_masks_lie():
    near, far = score(PLATE, np.roll(PLATE, 1, axis=2), (3.0, 2.0, 9.0)), None
    large = np.zeros((40, 40, 40), dtype=bool)
    large[20:26, 20:28, 20:30] = PLATE
    far = score(large, np.roll(large, 1, axis=2), (3.0, 2.0, 9.0))
    assert near == far


def test_empty_reference_has_the_false_volume_and_nothing_else():
    scores = score(PLATE, EMPTY, (5.0, 5.0, 10.0)).as_record()
    assert scores.pop("false_positive_ml") == pytest.approx(8 * 250 / 1000)
    assert scores.pop("empty_prediction") is False
    assert set(scores.values()) == {None}


def test_both_empty():
    scores = score(EMPTY, EMPTY, (1.0, 1.0, 1.0))
    assert scores.dice is None
    assert scores.false_positive_ml == 0
    assert not scores.empty_prediction


def test_empty_prediction():
    scores = score(EMPTY, PLATE, (1.0, 1.0, 1.0))
    assert (scores.dice, scores.iou, scores.recall, scores.nsd_2mm) == (0, 0, 0, 0)
    assert (scores.precision, scores.hd95_mm, scores.assd_mm) == (None, None, None)
    assert scores.empty_prediction
    assert scores.false_positive_ml is None


def test_whole_numbers_count_as_masks():
    assert score(PLATE.astype(np.uint8), PLATE, (1.0, 1.0, 1.0)).dice == 1
    assert score(PLATE * 1.0, PLATE, (1.0, 1.0, 1.0)).dice == 1


def test_values_are_plain_python_numbers():
    for value in score(np.roll(PLATE, 1, axis=2), PLATE, (1.0, 1.0, 1.0)).as_record().values():
        assert type(value) in (float, bool, type(None))


def test_shapes_that_differ():
    with pytest.raises(InputError, match=r"prediction \(6, 8, 10\) against reference \(5, 8, 10\)"):
        score(EMPTY, EMPTY[:5], (1.0, 1.0, 1.0))


def test_scores_have_every_metric_as_an_attribute():
    scores = score(np.roll(PLATE, 1, axis=2), PLATE, (1.0, 1.0, 1.0))
    assert {name: getattr(scores, name) for name in METRICS} == scores.values
    assert set(METRICS) <= set(dir(scores))
    with pytest.raises(AttributeError, match="Scores has no metric 'dise'"):
        _ = scores.dise
    for twin in (copy.deepcopy(scores), pickle.loads(pickle.dumps(scores))):
        assert twin == scores
        assert twin.dice == 0.75


def test_values_lie_within_the_limits_of_their_metric():
    for moved in (PLATE, np.roll(PLATE, 1, axis=2), np.roll(PLATE, 2, axis=0), EMPTY):
        for name, value in score(moved, PLATE, (1.0, 1.0, 1.0)).values.items():
            low, high = METRICS[name].limits
            assert value is None or low <= value <= high
