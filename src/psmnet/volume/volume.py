"""`Volume`: the only type that knows physical space."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from psmnet.errors import InputError
from psmnet.volume.nifti_forms import NiftiForms

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image or label map on a grid in physical space (LPS, as in ITK and DICOM).

    Attributes:
        array_zyx: voxels, axis 0 is the third stored axis (the slices), axis 2 the first.
        spacing_mm: distance between voxels along the stored axes, in (x, y, z) order.
        origin_mm: physical position of voxel [0, 0, 0], (x, y, z), LPS.
        direction: 3 x 3; column j is the unit vector along which stored axis j (x, y, z) runs, LPS.
        nifti_forms: how the NIfTI file that it was read from places this grid, for masks on the same grid. None:
            read from another format, or the grid has changed since.

    Raises:
        InputError: the array is not 3D or empty, a spacing is not positive, the origin is not finite, or the
            direction is not orthonormal.
    """

    array_zyx: Array
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: npt.NDArray[np.float64] = None  # type: ignore[assignment]  # identity, filled below: arrays make poor defaults
    nifti_forms: NiftiForms | None = None

    def __post_init__(self) -> None:
        direction = np.eye(3) if self.direction is None else np.asarray(self.direction, dtype=np.float64)
        object.__setattr__(self, "direction", direction)
        object.__setattr__(self, "spacing_mm", tuple(float(s) for s in self.spacing_mm))
        object.__setattr__(self, "origin_mm", tuple(float(o) for o in self.origin_mm))
        if self.array_zyx.ndim != 3 or 0 in self.array_zyx.shape:
            raise InputError(f"expected a 3D array, got shape {self.array_zyx.shape}", "give a 3D scan")
        if not all(np.isfinite(s) and s > 0 for s in self.spacing_mm):
            raise InputError(f"spacing {self.spacing_mm} mm is not positive", "fix the header's spacing")
        if not np.isfinite(self.origin_mm).all():
            raise InputError(f"origin {self.origin_mm} mm is not finite", "fix the header's origin")
        if direction.shape != (3, 3) or not np.allclose(direction.T @ direction, np.eye(3), atol=1e-3):
            raise InputError(
                f"direction {direction.tolist()} is not orthonormal",
                "resample the scan onto right-angled axes",
            )

    @property
    def size_xyz(self) -> tuple[int, int, int]:
        """Number of voxels along the stored axes, (x, y, z)."""
        z, y, x = self.array_zyx.shape
        return x, y, z

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """4 x 4 matrix from voxel indices (x, y, z) to physical mm (LPS)."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.direction * np.asarray(self.spacing_mm)
        matrix[:3, 3] = self.origin_mm
        return matrix

    def with_array(self, array_zyx: Array) -> "Volume":
        """The same grid with another array of the same shape."""
        if array_zyx.shape != self.array_zyx.shape:
            raise InputError(
                f"array of shape {array_zyx.shape} for a grid of {self.array_zyx.shape}",
                "give an array of the grid's shape",
            )
        return Volume(array_zyx, self.spacing_mm, self.origin_mm, self.direction, self.nifti_forms)
