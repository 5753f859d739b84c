"""What matching leaves behind, tidied in 3D: an organ has as many parts as the support shows."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from psmnet.volume import Array

WORTH_COUNTING = 0.1  # of the largest part: smaller ones are slips of the hand that labelled


def parts(mask: npt.NDArray[np.bool_]) -> int:
    """How many connected parts a mask (Z, Y, X) has, those of less than a tenth of the largest left out."""
    sizes = _sizes(mask)[1]
    return int((sizes >= WORTH_COUNTING * sizes.max()).sum()) if len(sizes) else 0


def keep_largest_parts(labels_zyx: Array, counts: Mapping[int, int]) -> None:
    """Set to 0, in place, all but the largest connected parts of each label.

    Args:
        labels_zyx: label map.
        counts: label value to the number of parts to keep.
    """
    boxes = dict(enumerate(ndimage.find_objects(labels_zyx), 1))
    for value, count in counts.items():
        box = boxes.get(value)
        if box is None:
            continue
        inside = labels_zyx[box]
        numbers, sizes = _sizes(inside == value)
        if len(sizes) > count:
            kept = 1 + np.argsort(-sizes, kind="stable")[:count]
            inside[(inside == value) & ~np.isin(numbers, kept)] = 0


def _sizes(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Numbers of the connected parts (from 1), and voxels of each."""
    numbers, _ = ndimage.label(mask)
    return numbers, np.bincount(numbers.ravel())[1:]
