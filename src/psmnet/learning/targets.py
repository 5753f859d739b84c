"""What a student is taught: the slices of scans with a label for every pixel, except where the label is not certain.

Labels are 0 for background, 1..K for organs and IGNORED. An organ that is open in a scan may be anywhere there: its
pixels are labelled as background, and the loss takes background and organ together (`student_loss`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from psmnet.volume import Mask

IGNORED = 255
UNSURE = 0.3, 0.6  # probabilities between which a pixel is neither background nor organ
SURE = 0.5  # probability from which it may be an organ


@dataclass(frozen=True)
class Taught:
    """One scan that a student is taught from.

    Attributes:
        images: (Z, h, w) float, normalised, at the student's pixels.
        labels: (Z, h, w) uint8, 0..K or IGNORED.
        neighbours: (Z, 3), numbers of each slice and its neighbours.
        open_organs: (K,) bool, organs that may be anywhere in this scan.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    neighbours: npt.NDArray[np.int64]
    open_organs: Mask


def labels_of_probabilities(
    probabilities: npt.NDArray[np.float32], open_organs: Mask, slice_mm: float, margin_mm: float
) -> npt.NDArray[np.uint8]:
    """Pseudo-labels of a scan from each organ's probability.

    Args:
        probabilities: (K, Z, h, w), 0..1, of organs that compete.
        open_organs: (K,) organs whose labels are not used.
        slice_mm: distance of slices.
        margin_mm: how far beyond the last slices of an organ pixels under its last outlines are not certain.

    Returns:
        (Z, h, w), 0..K or IGNORED.
    """
    closed = np.where(open_organs[:, None, None, None], 0.0, probabilities)
    best = closed.max(axis=0)
    labels = np.where(best >= SURE, 1 + closed.argmax(axis=0), 0).astype(np.uint8)
    labels[(best > UNSURE[0]) & (best < UNSURE[1])] = IGNORED
    reach = max(1, round(margin_mm / slice_mm))
    for organ in np.flatnonzero(~open_organs):
        inside = labels == organ + 1
        slices = np.flatnonzero(inside.any(axis=(1, 2)))
        if len(slices) == 0:
            continue
        for end, step in ((slices[0], -1), (slices[-1], 1)):
            for beyond in range(1, reach + 1):
                z = end + step * beyond
                if 0 <= z < len(labels):
                    labels[z][inside[end] & (labels[z] == 0)] = IGNORED
    return labels
