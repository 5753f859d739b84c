import numpy as np
import pytest

from psmnet.segmentation.cleanup import keep_largest_parts
from psmnet.volume import parts


def drawn(*boxes: tuple[slice, slice, slice]) -> np.ndarray:
    mask = np.zeros((6, 10, 20), dtype=bool)
    for box in boxes:
        mask[box] = True
    return mask


LEFT = (slice(1, 5), slice(2, 8), slice(1, 7))  # 4 x 6 x 6 = 144 voxels
RIGHT = (slice(1, 5), slice(2, 8), slice(12, 17))  # 4 x 6 x 5 = 120
SCRAP = (slice(0, 1), slice(0, 2), slice(18, 20))  # 4


@pytest.mark.parametrize(("boxes", "count"), [((), 0), ((LEFT,), 1), ((LEFT, RIGHT), 2), ((LEFT, RIGHT, SCRAP), 2)])
def test_parts_of_less_than_a_tenth_of_the_largest_do_not_count(boxes, count):
    assert parts(drawn(*boxes)) == count


def test_voxels_that_touch_by_an_edge_alone_are_two_parts():
    assert parts(drawn((slice(0, 1), slice(0, 1), slice(0, 1)), (slice(0, 1), slice(1, 2), slice(1, 2)))) == 2


@pytest.mark.parametrize(
    ("count", "kept"), [(1, (LEFT,)), (2, (LEFT, RIGHT)), (3, (LEFT, RIGHT, SCRAP)), (9, (LEFT, RIGHT, SCRAP))]
)
def test_the_largest_parts_stay(count, kept):
    labels = drawn(LEFT, RIGHT, SCRAP) * np.uint16(300)
    keep_largest_parts(labels, {300: count})
    assert np.array_equal(labels == 300, drawn(*kept))


def test_labels_are_tidied_each_on_its_own():
    labels = drawn(LEFT, SCRAP) * np.uint8(7) + drawn(RIGHT) * np.uint8(2)
    keep_largest_parts(labels, {2: 1, 7: 1, 9: 1})
    assert np.array_equal(labels, drawn(LEFT) * np.uint8(7) + drawn(RIGHT) * np.uint8(2))


def test_labels_that_are_not_named_stay():
    labels = drawn(LEFT, SCRAP) * np.uint8(7)
    keep_largest_parts(labels, {1: 1})
    assert np.array_equal(labels, drawn(LEFT, SCRAP) * np.uint8(7))
