"""From a scan as it was acquired to the normalised layout: axes, intensities, spacing, size."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from psmnet.catalog import CT_WINDOW_HU, DataSet
from psmnet.errors import InputError
from psmnet.volume import (
    Array,
    Volume,
    center_crop_pad_volume,
    covering,
    covering_with_extra_slice,
    reorient,
    resample_image,
    resample_labels,
    resample_labels_with_holes,
    signed_permutation,
)

LAS = np.diag([1.0, -1.0, 1.0])  # stored axes point left, anterior, superior (LPS: posterior)
CT_RANGE = 255.0  # windowed CT is stored as 0..255
BORDER_OF_PX = 512  # slice size that a border is given for


@dataclass(frozen=True)
class PreprocessConstants:
    """Constants of one data set's pre-processing, in the order in which they are used.

    Attributes:
        direction: 3 x 3, the direction of the stored axes; None keeps them.
        window_hu: CT is clipped to it and scaled to 0..255; None for no window.
        clip_percentile: intensities above it are clipped to it; None for no clipping.
        border_px: pixels cut from each side of 512 pixel slices, in proportion for other sizes.
        spacing_mm: (x, y, z) to resample to, z None for as stored; None for no resampling.
        size_px: rows and columns of the result: by cropping and padding if `spacing_mm` is given, else by resampling
            in-plane; None for as stored.
        faults: known bugs of the catalog to reproduce, by name.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    direction: tuple[tuple[float, ...], ...] | None = None
    window_hu: tuple[float, float] | None = None
    clip_percentile: float | None = None
    border_px: int = 0
    spacing_mm: tuple[float, float, float | None] | None = None
    size_px: int | None = None
    faults: tuple[str, ...] = ()

    @staticmethod
    def of(facts: DataSet, faults: Collection[str] = ()) -> "PreprocessConstants":
        """The catalog's constants for a data set."""
        return PreprocessConstants(
            direction=tuple(map(tuple, LAS.tolist())) if facts.las_order else None,
            window_hu=facts.window_hu,
            clip_percentile=facts.clip_percentile,
            border_px=facts.border_px,
            spacing_mm=facts.spacing_mm,
            size_px=facts.size_px,
            faults=tuple(sorted(faults)),
        )

    @staticmethod
    def of_constants(constants: dict[str, Any]) -> "PreprocessConstants":
        """Back from JSON, where tuples are lists.

        Raises:
            InputError: they were written by another version.
        """
        try:
            return _STORED.validate_python(constants)
        except ValidationError as error:
            name = ".".join(map(str, error.errors()[0]["loc"]))
            raise InputError(
                f"dataset.json has constants of another version ({name})", "prepare into another folder"
            ) from error

    def as_constants(self) -> dict[str, Any]:
        """As `dataset.json` has them."""
        stored: dict[str, Any] = _STORED.dump_python(self, mode="json")
        return stored

    def with_window(self) -> "PreprocessConstants":
        """The same for a scan in Hounsfield units."""
        return replace(self, window_hu=CT_WINDOW_HU)


_STORED = TypeAdapter(PreprocessConstants)


def preprocess(image: Volume, labels: Volume | None, recipe: PreprocessConstants) -> tuple[Volume, Volume | None]:
    """Bring a scan and its labels into the normalised layout.

    Args:
        image: as read.
        labels: on the image's grid, or None.
        recipe: constants.

    Returns:
        The image (float32 where intensities or grid have changed, else as stored), and the labels on its grid.
    """
    image, labels = lay_axes(image, recipe), labels and lay_axes(labels, recipe)
    image = _with_intensities(image, recipe)
    image, labels = _without_border(image, recipe), labels and _without_border(labels, recipe)
    if spacing := _target_spacing(image, recipe):
        grid = (covering_with_extra_slice if "extra-slice" in recipe.faults else covering)(image, spacing)
        image = resample_image(image, grid)
        if labels is not None:
            labels = (resample_labels_with_holes if "label-holes" in recipe.faults else resample_labels)(labels, grid)
    if recipe.size_px is not None and recipe.spacing_mm is not None:
        size = (recipe.size_px, recipe.size_px)
        image = _fit(image, size, recipe, float(image.array_zyx.min()))
        labels = labels and _fit(labels, size, recipe, 0)
    return image, labels


def lay_axes(volume: Volume, recipe: PreprocessConstants) -> Volume:
    """A scan with its stored axes in the recipe's order; no voxel is changed."""
    if recipe.direction is None:
        return volume
    return reorient(volume, *signed_permutation(volume.direction, np.array(recipe.direction)))


def window(array: Array, window_hu: tuple[float, float], *, by_its_own_range: bool = False) -> Array:
    """CT intensities clipped to a window and scaled to 0..255.

    Args:
        array: Hounsfield units, any shape.
        window_hu: min and max.
        by_its_own_range: scale by the clipped array's own min and max, as published notebooks do. A known bug: a
            scan without dense bone or air gets another scale.
    """
    low, high = window_hu
    clipped = np.clip(array.astype(np.float32), low, high)
    if by_its_own_range:
        low, high = float(clipped.min()), float(clipped.max())
    return (clipped - low) * np.float32(CT_RANGE / max(high - low, 1e-6))


def _with_intensities(image: Volume, recipe: PreprocessConstants) -> Volume:
    if recipe.window_hu is not None:
        own = "volume-rescale" in recipe.faults
        image = image.with_array(window(image.array_zyx, recipe.window_hu, by_its_own_range=own))
    if recipe.clip_percentile is not None:
        high = np.percentile(image.array_zyx, recipe.clip_percentile)
        image = image.with_array(np.minimum(image.array_zyx.astype(np.float32), np.float32(high)))
    return image


def _without_border(volume: Volume, recipe: PreprocessConstants) -> Volume:
    if not recipe.border_px:
        return volume
    rows, columns = (n - 2 * round(recipe.border_px * n / BORDER_OF_PX) for n in volume.array_zyx.shape[1:])
    return _fit(volume, (rows, columns), recipe, 0)


def _target_spacing(image: Volume, recipe: PreprocessConstants) -> tuple[float, float, float] | None:
    x, y, z = image.spacing_mm
    if recipe.spacing_mm is not None:
        to_x, to_y, to_z = recipe.spacing_mm
        return to_x, to_y, z if to_z is None else to_z
    if recipe.size_px is not None:
        columns, rows, _ = image.size_xyz
        return x * columns / recipe.size_px, y * rows / recipe.size_px, z
    return None


def _fit(volume: Volume, size_yx: tuple[int, int], recipe: PreprocessConstants, fill: float) -> Volume:
    if volume.array_zyx.shape[1:] == size_yx:
        return volume
    fitted = center_crop_pad_volume(volume, size_yx, fill)
    if "crop-origin" in recipe.faults:
        return Volume(fitted.array_zyx, fitted.spacing_mm, volume.origin_mm, fitted.direction)
    return fitted
