import numpy as np
import pytest

from psmnet.catalog import PROTOCOLS
from psmnet.errors import InputError
from psmnet.evaluation.protocols import (
    SUPPORT_SLICES,
    TOLD,
    ep1_counted,
    ep1_labelled_counted,
    ep1_support_slices,
    ep2_support_slices,
    whole_counted,
)


def organ_on(slices: list[int], depth: int = 12) -> np.ndarray:
    """A mask (Z, 3, 3) with one voxel on each of these slices."""
    mask = np.zeros((depth, 3, 3), dtype=bool)
    mask[slices, 1, 1] = True
    return mask


@pytest.mark.parametrize(
    ("count", "numbers"),
    [
        (1, [0, 0, 0]),  # 1/6, 3/6, 5/6
        (2, [0, 1, 1]),  # 2/6, 6/6, 10/6
        (3, [0, 1, 2]),  # 3/6, 9/6, 15/6
        (7, [1, 3, 5]),  # 7/6, 21/6, 35/6
    ],
)
def test_support_slices_by_hand(count, numbers):
    first = 3
    mask = organ_on(list(range(first, first + count)))
    assert ep1_support_slices(mask).tolist() == [first + number for number in numbers]


def test_support_slices_count_labelled_ones_only():
    assert ep1_support_slices(organ_on([0, 5, 11])).tolist() == [0, 5, 11]


def test_a_support_without_the_organ_is_refused():
    with pytest.raises(InputError, match="no voxel of the organ"):
        ep1_support_slices(organ_on([]))


@pytest.mark.parametrize(
    ("slices", "scored", "parts"),
    [
        ([4], [4], [0]),
        ([4, 5], [4, 5], [0, 2]),  # 0, 3/1
        ([4, 5, 6], [4, 5, 6], [0, 1, 2]),  # 0, 3/2, 6/2
        ([2, 3, 4, 5, 6, 7, 8], [2, 3, 4, 5, 6, 7, 8], [0, 0, 1, 1, 2, 2, 2]),  # 0, 3/6, 6/6 ... 18/6
        ([3, 6], [3, 4, 5, 6], [0, 1, 2, 2]),  # slices without the organ in between count
        (list(range(12)), list(range(12)), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]),  # 3 z // 11
        ([0], [0], [0]),
        ([11], [11], [0]),
        ([], [], []),
    ],
)
def test_query_parts_by_hand(slices, scored, parts):
    counted = ep1_counted(organ_on(slices))
    assert counted.slices.tolist() == scored
    assert counted.parts.tolist() == parts
    assert counted.slices.dtype == counted.parts.dtype == np.int64


@pytest.mark.parametrize(
    ("slices", "parts"),
    [
        ([], []),
        ([4], [2]),  # cuts 0, 0, 0, 1
        ([4, 5], [1, 2]),  # 0, 0, 1, 2
        ([0, 5, 11], [0, 1, 2]),  # gaps don't count
        ([2, 3, 4, 5, 6, 7, 8], [0, 0, 1, 1, 2, 2, 2]),  # int of 0, 2.33, 4.67, 7
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]),
    ],
)
def test_labelled_query_parts_by_hand(slices, parts):
    counted = ep1_labelled_counted(organ_on(slices))
    assert counted.slices.tolist() == slices
    assert counted.parts.tolist() == parts
    assert counted.slices.dtype == counted.parts.dtype == np.int64


@pytest.mark.parametrize(
    ("slices", "middle"),
    [([3], 3), ([3, 4], 4), ([0, 5, 11], 5), ([2, 3, 4, 5, 6, 7, 8], 5), ([0, 1, 10, 11], 10)],
)
def test_ep2_takes_the_middle_labelled_slice(slices, middle):
    assert ep2_support_slices(organ_on(slices)).tolist() == [middle]


def test_ep2_needs_the_organ_in_the_support():
    with pytest.raises(InputError, match="no voxel of the organ"):
        ep2_support_slices(organ_on([]))


def test_a_whole_query_is_one_part():
    counted = whole_counted(5)
    assert counted.slices.tolist() == [0, 1, 2, 3, 4]
    assert counted.parts.tolist() == [0, 0, 0, 0, 0]


def test_every_protocol_is_in_the_catalog_and_only_ep1_reads_labels():
    assert {*SUPPORT_SLICES, "blind", "cohort"} == set(PROTOCOLS)
    assert set(TOLD) == {"ep1", "ep1-labelled"}
