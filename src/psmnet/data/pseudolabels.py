"""Superpixels as pseudo-labels: training sees no manual label."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import felzenszwalb

from psmnet.volume import Array

SCALE, MIN_SIZE_PX, SIGMA_PX = 1, 400, 1  # Ouyang et al., TMI 2022, for 256 x 256 slices
REFERENCE_PX = 256


def body_mask(slice_yx: Array, threshold: float) -> npt.NDArray[np.bool_]:
    """Where the body is in a slice: the largest component above `threshold`, holes filled.

    Returns:
        (H, W) bool; all False where nothing is above the threshold.
    """
    components, count = ndimage.label(slice_yx > threshold)
    if count == 0:
        return np.zeros(slice_yx.shape, dtype=bool)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    filled: npt.NDArray[np.bool_] = ndimage.binary_fill_holes(components == sizes.argmax())
    return filled


def superpixels(slice_yx: Array, threshold: float, min_size_px: int = MIN_SIZE_PX) -> npt.NDArray[np.int32]:
    """Felzenszwalb superpixels inside the body mask.

    Args:
        slice_yx: (H, W), stored normalised intensities (not z-scored: the result depends on the scale).
        threshold: of the body mask, in the same intensities.
        min_size_px: smallest superpixel before the body mask cuts; lower it for slices smaller than 256 x 256.

    Returns:
        (H, W) int32: 0 outside the body, ids 1..K inside, contiguous, none empty; all 0 for an empty slice.

    Reference:
        Felzenszwalb and Huttenlocher, IJCV 59 (2004); parameters of Ouyang et al., IEEE TMI 41 (2022).
    """
    raw = felzenszwalb(slice_yx.astype(np.float64), scale=SCALE, sigma=SIGMA_PX, min_size=min_size_px)
    return renumber(np.where(body_mask(slice_yx, threshold), raw + 1, 0))


def renumber(ids: Array) -> npt.NDArray[np.int32]:
    """Make positive ids contiguous from 1, in the order of their values; 0 stays."""
    present, inverse = np.unique(ids, return_inverse=True)
    first = 0 if present[0] == 0 else 1
    return (inverse.reshape(ids.shape) + first).astype(np.int32)


def superpixel_volume(array_zyx: Array, threshold: float | None) -> npt.NDArray[np.int32]:
    """Superpixels of each slice; ids start again at 1 in every slice.

    Args:
        array_zyx: (Z, Y, X), stored normalised intensities.
        threshold: of the body mask. None for intensities of unknown scale: they are brought to 0..1000 (0.5th to
            99.5th percentile) and the body is what exceeds half of Otsu's threshold.

    Returns:
        (Z, Y, X) int32. The smallest superpixel is the published 400 pixels of a 256 x 256 slice, in proportion.
    """
    if threshold is None:
        low, high = np.percentile(array_zyx, (0.5, 99.5))
        array_zyx = (np.clip(array_zyx, low, high) - low) * (1000 / max(high - low, 1e-6))
        threshold = float(threshold_otsu(array_zyx)) / 2 if np.ptp(array_zyx) > 0 else 0.0
    min_size_px = max(1, round(MIN_SIZE_PX * array_zyx[0].size / REFERENCE_PX**2))
    return np.stack([superpixels(slice_yx, threshold, min_size_px) for slice_yx in array_zyx])
