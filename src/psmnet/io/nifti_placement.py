"""Where a NIfTI file's voxels lie: its two stored transforms, and which of them is followed."""

import math
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from psmnet.errors import InputError
from psmnet.volume import NiftiForms, Volume

Matrix = npt.NDArray[np.float64]

MILLIMETRES_PER_UNIT = {1: 1000.0, 3: 0.001}  # metre, micrometre; everything else is taken as mm
SHEAR_TOLERANCE = 1.0e-4  # cosine between two axes; float32 transforms of right-angled scans stay below
QUATERNION_TOLERANCE = 3.0e-7  # of its length squared: rounding to float32
DISAGREEMENT_MM = 0.1
TO_LPS = np.diag([-1.0, -1.0, 1.0])  # NIfTI is RAS


def placement(path: Path, raw: Any, size_xyz: tuple[int, int, int]) -> tuple[Volume, tuple[str, ...]]:
    """The grid of a file: by the sform if it is set and has no shear, else by the qform, else along the LPS axes.

    The spacing is pixdim's in every case.

    Args:
        path: of the file, for errors.
        raw: nibabel's header, of either version.
        size_xyz: voxels along the stored axes.

    Returns:
        the grid (its voxels are one 0, shown everywhere), and remarks for the user.

    Raises:
        InputError: a spacing is not positive, a transform is not finite, or the only one is sheared.
    """
    forms = _forms(raw)
    scale = MILLIMETRES_PER_UNIT.get(forms.xyzt_units & 7, 1.0)
    spacing = np.array(forms.pixdim[1:4]) * scale
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise InputError(
            f"{path} has a spacing of ({_numbers(forms.pixdim[1:4])}) (pixdim)", "fix the header's spacing"
        )
    stored = _stored(path, forms, scale)
    chosen, notes = "none", []
    direction, origin = np.eye(3), np.zeros(3)
    if stored:
        chosen = _chosen(path, stored)
        norms = np.linalg.norm(stored[chosen][:, :3], axis=0)
        direction, origin = TO_LPS @ (stored[chosen][:, :3] / norms), TO_LPS @ stored[chosen][:, 3]
        if len(stored) == 2 and (gap := _largest_gap(stored["sform"], stored["qform"], size_xyz)) > DISAGREEMENT_MM:
            notes.append(f"{path}: qform and sform disagree by up to {gap:.4g} mm; the {chosen} is used")
        if float(np.max(np.abs(norms - spacing) * (np.array(size_xyz) - 1))) > DISAGREEMENT_MM:
            steps = f"({_numbers(norms)}) mm differs from pixdim's ({_numbers(spacing)}) mm"
            notes.append(f"{path}: the {chosen}'s spacing {steps}; pixdim's is used")
    else:
        zero = "qform_code = sform_code = 0"
        notes.append(f"{path} stores no orientation ({zero}): sides may be swapped; axes taken as LPS")
    (x, y, z), (dx, dy, dz) = origin.tolist(), spacing.tolist()
    empty = np.broadcast_to(np.uint8(0), size_xyz[::-1])
    repeated = forms if _are_sound(forms) else None
    return Volume(empty, (dx, dy, dz), (x, y, z), direction, repeated), tuple(notes)


def _forms(raw: Any) -> NiftiForms:
    values: dict[str, Any] = {}
    for name in (field.name for field in fields(NiftiForms)):
        value = np.asarray(raw[name])
        if value.dtype.kind == "f":  # float32, as NIfTI-1 and so a mask has them, in native order
            value = value.astype(np.float32)
        values[name] = tuple(value.tolist()) if value.ndim else value.item()
    return NiftiForms(**values)


def _are_sound(forms: NiftiForms) -> bool:
    """Whether a mask may repeat them: other programs refuse numbers that are not finite and quaternions too long."""
    squared = forms.quatern_b**2 + forms.quatern_c**2 + forms.quatern_d**2
    return bool(np.isfinite(np.hstack(astuple(forms))).all()) and squared <= 1 + QUATERNION_TOLERANCE


def _stored(path: Path, forms: NiftiForms, scale: float) -> dict[str, Matrix]:
    """The transforms that are set, 3 x 4, RAS, in mm."""
    stored = {}
    if forms.sform_code > 0:
        stored["sform"] = np.array([forms.srow_x, forms.srow_y, forms.srow_z])
    if forms.qform_code > 0:
        offset = forms.qoffset_x, forms.qoffset_y, forms.qoffset_z
        axes = (_rotation(forms) * forms.pixdim[1:4]).astype(np.float32)  # as precise as a stored sform
        stored["qform"] = np.column_stack([axes, offset])
    for name, matrix in stored.items():
        if not np.isfinite(matrix).all():
            raise InputError(f"{path} has a {name} that is not finite", "fix the header")
    return {name: matrix * scale for name, matrix in stored.items()}


def _rotation(forms: NiftiForms) -> Matrix:
    """The qform's rotation, 3 x 3; a quaternion that is too long is made a unit one."""
    from nibabel.quaternions import quat2mat

    vector = forms.quatern_b, forms.quatern_c, forms.quatern_d
    squared = 1.0 - sum(value * value for value in vector)
    first = math.sqrt(squared) if squared >= 1e-7 else 0.0  # as the NIfTI library does: a half turn
    rotation: Matrix = quat2mat([first, *vector])
    if forms.pixdim[0] < 0:
        rotation[:, 2] *= -1
    return rotation


def _chosen(path: Path, stored: dict[str, Matrix]) -> str:
    if "sform" not in stored:
        return "qform"
    if (shear := _shear(stored["sform"])) <= SHEAR_TOLERANCE:
        return "sform"
    if "qform" in stored:
        return "qform"
    raise InputError(
        f"{path} has a sheared affine (sform, cosine {shear:.4g} between two of its axes)",
        "resample the scan onto right-angled axes",
    )


def _shear(matrix: Matrix) -> float:
    """Largest cosine between two columns; 1 if a column is zero."""
    norms = np.linalg.norm(matrix[:, :3], axis=0)
    if not np.all(norms > 0):
        return 1.0
    unit = matrix[:, :3] / norms
    return float(np.max(np.abs(unit.T @ unit - np.eye(3))))


def _largest_gap(first: Matrix, second: Matrix, size_xyz: tuple[int, int, int]) -> float:
    """Largest distance in mm between where two 3 x 4 matrices place the volume's corners."""
    grid = np.meshgrid(*[(0, length - 1) for length in size_xyz], [1], indexing="ij")
    corners = np.stack([axis.ravel() for axis in grid])
    return float(np.max(np.linalg.norm((first - second) @ corners, axis=0)))


def _numbers(values: Any) -> str:
    return ", ".join(f"{value:g}" for value in values)
