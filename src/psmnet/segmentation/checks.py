"""Checks of labelled scans and queries before anything is computed."""

from collections.abc import Sequence

import numpy as np

from psmnet.errors import ConfigError, InputError
from psmnet.volume import Volume


def wanted_values(
    supports: Sequence[tuple[Volume, Volume]], labels: Sequence[int] | None, names: Sequence[tuple[str, str]] = ()
) -> list[int]:
    """Check labelled scans and return the label values to segment, ascending.

    Args:
        supports: image and label map of each labelled scan.
        labels: requested values; None or an empty sequence for all values of the label maps.
        names: of image and label map of each labelled scan, as errors call them.

    Raises:
        ConfigError: no support.
        InputError: no labelled voxel, no background, image and labels of different shape, no contrast, or a label
            value that no support has.
    """
    if not supports:
        raise ConfigError("no support scan", "give at least one labelled scan")
    for image, mask in supports:
        require_volume(image, "the support")
        require_volume(mask, "the support mask")
        if image.array_zyx.shape != mask.array_zyx.shape:
            raise InputError(
                f"support labels {mask.array_zyx.shape} on an image of {image.array_zyx.shape}", "use one grid"
            )
        require_contrast(image, "the support")
        if mask.array_zyx.all():
            raise InputError(
                "the support mask has no background: every voxel is labelled", "label voxels outside organs 0"
            )
    present = sorted({int(value) for _, mask in supports for value in np.unique(mask.array_zyx)} - {0})
    if not present and names:
        image_name, labels_name = names[0]
        raise InputError(f"{labels_name} has no labelled voxel", f"is this the label map of {image_name}?")
    if not present:
        raise InputError("the support mask is empty", "label at least one voxel, or give another support")
    for value in labels or ():
        if value not in present:
            raise InputError(f"label {value} is not in the support", f"choose from {', '.join(map(str, present))}")
    return sorted(set(labels or present))


def require_volume(volume: object, what: str) -> None:
    """Refuse what is not a Volume, such as a path or an array.

    Raises:
        InputError: it is not one.
    """
    if not isinstance(volume, Volume):
        raise InputError(f"{what} is a {type(volume).__name__}, not a Volume", "read it with psmnet.read_volume")


def require_contrast(volume: Volume, what: str) -> None:
    """Refuse what is not a Volume, and a scan whose voxels all have one value.

    Raises:
        InputError: it is one of these.
    """
    require_volume(volume, what)
    low, high = volume.array_zyx.min(), volume.array_zyx.max()
    if low == high:
        raise InputError(f"{what} is constant: every voxel is {low:g}", "give a scan with contrast")
