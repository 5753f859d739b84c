"""Removal of small false parts in 3D: an organ keeps as many connected parts as it has in the support."""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from psmnet.volume import Array, part_sizes


def keep_largest_parts(labels_zyx: Array, counts: Mapping[int, int]) -> None:
    """Set all but the largest connected parts of each label to 0, in place.

    Args:
        labels_zyx: label map (Z, Y, X).
        counts: label value to the number of parts to keep.
    """
    boxes = dict(enumerate(ndimage.find_objects(labels_zyx), 1))
    for value, count in counts.items():
        box = boxes.get(value)
        if box is None:
            continue
        inside = labels_zyx[box]
        numbers, sizes = part_sizes(inside == value)
        if len(sizes) > count:
            kept = 1 + np.argsort(-sizes, kind="stable")[:count]
            inside[(inside == value) & ~np.isin(numbers, kept)] = 0
