"""Resampling scans and label maps to another spacing, along their own axes."""

import numpy as np

from psmnet.errors import InputError
from psmnet.volume.geometry import largest_offset_mm
from psmnet.volume.sitk import as_image, simpleitk
from psmnet.volume.volume import Array, Volume

Spacing = tuple[float, float, float]

LARGEST_SIDE = 4096  # ten times what scanners give: more is most likely a wrong spacing
SAME = 1e-4  # relative: float32 headers differ by less


def lattice(size_xyz: tuple[int, int, int], spacing_mm: Spacing, like: Volume, origin_mm: Array) -> Volume:
    """A grid along the axes of `like`; its array is one 0, shown everywhere."""
    x, y, z = (float(value) for value in origin_mm)
    empty = np.broadcast_to(np.uint8(0), size_xyz[::-1])
    return Volume(empty, spacing_mm, (x, y, z), like.direction)


def covering(volume: Volume, spacing_mm: Spacing) -> Volume:
    """The nearest grid of this spacing that covers the same field of view, about the same centre.

    Returns:
        A lattice of round(n s / t) voxels along each axis (at least one), n and s being the volume's voxels and
        spacing and t the new spacing.

    Raises:
        InputError: a side would have more than `LARGEST_SIDE` voxels.
    """
    size = [max(1, round(n * s / t)) for n, s, t in zip(volume.size_xyz, volume.spacing_mm, spacing_mm, strict=True)]
    if max(size) > LARGEST_SIDE:
        raise InputError(
            f"{volume.size_xyz} voxels of {volume.spacing_mm} mm would become {tuple(size)} at {spacing_mm} mm",
            f"choose a spacing that gives at most {LARGEST_SIDE} voxels a side",
        )
    # Between voxel centres; the difference between the two fields of view is split between both sides.
    shift = [
        ((n - 1) * s - (m - 1) * t) / 2
        for n, s, m, t in zip(volume.size_xyz, volume.spacing_mm, size, spacing_mm, strict=True)
    ]
    origin = np.array(volume.origin_mm) + volume.direction @ np.array(shift)
    return lattice((size[0], size[1], size[2]), spacing_mm, volume, origin)


def covering_with_extra_slice(volume: Volume, spacing_mm: Spacing) -> Volume:
    """The grid of the published notebooks, a known bug: int(n s / t + 1) voxels, from the first voxel on."""
    size = [int(n * s / t + 1) for n, s, t in zip(volume.size_xyz, volume.spacing_mm, spacing_mm, strict=True)]
    return lattice((size[0], size[1], size[2]), spacing_mm, volume, np.array(volume.origin_mm))


def resample_image(volume: Volume, grid: Volume) -> Volume:
    """Linear interpolation onto a grid along the same axes; beyond the scan, its smallest value.

    Returns:
        float32 on the grid; the volume itself if the grid is its own.
    """
    if _is_same(volume, grid):
        return volume
    return grid.with_array(_linear(volume, volume.array_zyx, grid, float(volume.array_zyx.min())))


def resample_labels(labels: Volume, grid: Volume) -> Volume:
    """Linear interpolation per class, then the likeliest class, which leaves no holes between organs.

    Returns:
        Labels of the same type on the grid; of equally likely classes the lower value (background before all).
    """
    if _is_same(labels, grid):
        return labels
    found = np.zeros(grid.array_zyx.shape, labels.array_zyx.dtype)
    background = np.ones(grid.array_zyx.shape, np.float32)
    best = np.zeros(grid.array_zyx.shape, np.float32)
    for value in _values(labels.array_zyx):
        share = _linear(labels, labels.array_zyx == value, grid, 0.0)
        background -= share
        likelier = share > best
        found[likelier] = value
        np.maximum(best, share, out=best)
    # 1e-6 in favour of the background: 1 minus a sum of shares is less exact than a share.
    found[best <= background + 1e-6] = 0
    return grid.with_array(found)


def resample_labels_with_holes(labels: Volume, grid: Volume) -> Volume:
    """As the published notebooks do, a known bug: linear per class, rounded, pasted in ascending order."""
    found = np.zeros(grid.array_zyx.shape, labels.array_zyx.dtype)
    for value in _values(labels.array_zyx):
        found[np.rint(_linear(labels, labels.array_zyx == value, grid, 0.0)) == 1] = value
    return grid.with_array(found)


def _values(array: Array) -> list[int]:
    return [int(value) for value in np.unique(array) if value]


def _linear(volume: Volume, array_zyx: Array, grid: Volume, outside: float) -> Array:
    sitk = simpleitk()
    image = as_image(volume.with_array(array_zyx.astype(np.float32)))
    identity = sitk.Transform()
    resampled = sitk.Resample(
        image,
        list(grid.size_xyz),
        identity,
        sitk.sitkLinear,
        grid.origin_mm,
        grid.spacing_mm,
        grid.direction.ravel().tolist(),
        outside,
        sitk.sitkFloat32,
    )
    array: Array = sitk.GetArrayFromImage(resampled)
    return array


def _is_same(volume: Volume, grid: Volume) -> bool:
    """Whether a grid is the volume's own: size equal, no corner further off than a header's rounding."""
    if volume.size_xyz != grid.size_xyz:
        return False
    return largest_offset_mm(volume, grid) <= SAME * min(grid.spacing_mm) * max(grid.size_xyz)
