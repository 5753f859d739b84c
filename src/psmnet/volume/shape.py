"""Volume and simple shape measures of a mask."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from psmnet.errors import InputError
from psmnet.volume.components import parts

SMOOTH_VOXELS = 0.5  # smoothing before the surface is measured: voxel steps would add a third to it


@dataclass(frozen=True)
class Shape:
    """Measures of a mask.

    Attributes:
        volume_ml: all of its voxels.
        surface_cm2: of the mesh around it (marching cubes, slightly smoothed).
        sphericity: surface of the sphere of equal volume over its own, 0..1 up to the mesh's error [Wadell 1935].
        extent_mm: of its box along the stored axes, (x, y, z).
        parts: connected parts, without those smaller than a tenth of the largest.
        slices: along the third stored axis.
    """

    volume_ml: float
    surface_cm2: float
    sphericity: float
    extent_mm: tuple[float, float, float]
    parts: int
    slices: int


def measure(mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> Shape:
    """Measure a mask (Z, Y, X).

    Args:
        mask: True inside.
        spacing_mm: along (x, y, z).

    Raises:
        InputError: the mask is empty.
    """
    if not mask.any():
        raise InputError("the mask is empty", "measure a mask with at least one voxel")
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    inside = mask[box]
    voxel_mm3 = float(np.prod(spacing_mm))
    volume_mm3 = float(np.count_nonzero(inside)) * voxel_mm3
    surface_mm2 = _surface_mm2(inside, spacing_mm)
    sphere_mm2 = float(np.pi ** (1 / 3) * (6 * volume_mm3) ** (2 / 3))
    depth, height, width = inside.shape
    extent = (width * spacing_mm[0], height * spacing_mm[1], depth * spacing_mm[2])
    return Shape(volume_mm3 / 1000, surface_mm2 / 100, sphere_mm2 / surface_mm2, extent, parts(inside), depth)


def _surface_mm2(inside: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> float:
    from skimage.measure import marching_cubes, mesh_surface_area

    padded = np.pad(inside.astype(np.float32), 3)
    smooth = ndimage.gaussian_filter(padded, SMOOTH_VOXELS)
    level = min(0.5, float(smooth.max()) / 2)  # single voxels are smoothed below a half
    vertices, faces, *_ = marching_cubes(smooth, level, spacing=spacing_mm[::-1])
    return float(mesh_surface_area(vertices, faces))
