"""Which organs reach a scan's first or last slice, beyond which they may continue."""

import numpy as np

from psmnet.volume.volume import Array


def values_at_ends(labels_zyx: Array) -> set[int]:
    """Label values in the first or last slice of a label map (Z, Y, X); none where it has fewer than three slices."""
    if len(labels_zyx) < 3:
        return set()
    return {int(value) for value in np.unique(labels_zyx[[0, -1]])} - {0}
