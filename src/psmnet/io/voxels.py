"""Checking the voxels of scans and label maps, from any file format."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from psmnet.errors import InputError
from psmnet.volume import Array

LABEL_TOLERANCE = 1e-3


def as_scan(array: Array, path: Path) -> tuple[Array, tuple[str, ...]]:
    """A scan's voxels, finite: integers unchanged, everything else as float32; and remarks for the user.

    Raises:
        InputError: no voxel is finite.
    """
    if array.dtype.kind != "f":
        return array, ()
    with np.errstate(over="ignore"):  # float64 above float32's range becomes infinite, handled below
        array = array.astype(np.float32, copy=False)
    finite = np.isfinite(array)
    missing = array.size - int(np.count_nonzero(finite))
    if missing == array.size:
        raise InputError(f"{path} has no finite value in {array.size} voxels", "export the scan again")
    if not missing:
        return array, ()
    smallest = array[finite].min()
    remark = (
        f"{path}: {missing} of {array.size} voxels are not finite; they take the smallest finite value, {smallest:g}"
    )
    return np.where(finite, array, smallest), (remark,)


def as_labels(array: Array, path: Path) -> Array:
    """A label map's voxels, `narrowed`.

    Raises:
        InputError: a value is fractional, negative, not finite or above 2^31 - 1.
    """
    remedy = "give a label map (0 is background, 1, 2, ... are structures), not an image or a probability map"
    if array.dtype.kind == "f":
        whole = np.rint(array)
        with np.errstate(invalid="ignore"):  # infinity - infinity
            offending = ~(np.abs(array - whole) <= LABEL_TOLERANCE)  # True for NaN, too
        if offending.any():
            value = array[offending][0]
            what = f"{path} looks like an image, not a label map (value {value:.4g})"
            raise InputError(what, remedy, code="image-as-labels")
        array = whole
    smallest, largest = int(array.min()), int(array.max())
    if smallest < 0:
        raise InputError(f"label values must not be negative, got {smallest} in {path}", remedy)
    if largest > np.iinfo(np.int32).max:
        raise InputError(f"label values must not exceed 2147483647, got {largest} in {path}", remedy)
    return narrowed(array)


def narrowed(labels: Array) -> Array:
    """Label values, whole and of 0 to 2^31 - 1, in the smallest of uint8, uint16 and int32 that holds the largest."""
    largest = labels.max()
    kind = next(kind for kind in (np.uint8, np.uint16, np.int32) if largest <= np.iinfo(kind).max)
    return labels.astype(kind, copy=False)


def stacked(
    masks: Iterable[tuple[int, npt.NDArray[np.bool_]]], shape_zyx: tuple[int, ...], what: str
) -> tuple[Array, tuple[str, ...]]:
    """Masks, each with its label value (up to 65,535), as one label map.

    Args:
        masks: an iterable, so that only one has to be in memory.
        shape_zyx: of each.
        what: plural noun for the masks, for the remark.

    Returns:
        the label map, and a remark if masks overlap: the last one wins.
    """
    labels = np.zeros(shape_zyx, dtype=np.uint16)
    shared = 0
    for value, inside in masks:
        shared += int(np.count_nonzero(labels[inside]))
        labels[inside] = value
    remarks = (f"{shared} voxels are in several {what}; they get the value of the last one",) if shared else ()
    return narrowed(labels), remarks
