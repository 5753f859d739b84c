"""Connected parts of a mask."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

WORTH_COUNTING = 0.1  # of the largest part: smaller ones are mostly slips in labelling


def parts(mask: npt.NDArray[np.bool_]) -> int:
    """How many connected parts a mask (Z, Y, X) has, those of less than a tenth of the largest left out."""
    sizes = part_sizes(mask)[1]
    return int((sizes >= WORTH_COUNTING * sizes.max()).sum()) if len(sizes) else 0


def part_sizes(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Numbers of the connected parts (from 1), and voxels of each."""
    numbers, _ = ndimage.label(mask)
    return numbers, np.bincount(numbers.ravel())[1:]
