"""Checking a NIfTI file before any library touches it: header, stored orientation and length.

SimpleITK reads a truncated `.nii.gz` without a word (the rest is zeros) and allocates whatever a header
claims. So the header is parsed here and the stream counted to its end, in bounded memory, before SimpleITK is
imported.
"""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from psmnet.errors import InputError

Matrix = npt.NDArray[np.float64]
Orientation = Literal["sform", "qform", "none"]

DATATYPES = {2: "uint8", 4: "int16", 8: "int32", 16: "float32", 64: "float64"}
DATATYPES |= {256: "int8", 512: "uint16", 768: "uint32", 1024: "int64", 1280: "uint64"}
REFUSED_DATATYPES = {1: "binary", 128: "RGB", 2304: "RGBA", 32: "complex", 1792: "complex", 2048: "complex"}
REFUSED_DATATYPES |= {1536: "128-bit float"}
MILLIMETRES_PER_UNIT = {1: 1000.0, 3: 0.001}  # metre, micrometre; everything else is taken as mm, as ITK does
LARGEST_VOXEL_COUNT = 4_000_000_000
LARGEST_VOXEL_OFFSET = 1 << 30
TOLERATED_EXTRA_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20
SHEAR_TOLERANCE = 1.0e-4  # cosine between two axes above which SimpleITK 2.5 refuses an sform
DISAGREEMENT_MM = 0.1


@dataclass(frozen=True)
class RawHeader:
    """What a NIfTI-1 or NIfTI-2 header says about reading it, as it is stored (RAS, stored units)."""

    version: int
    byte_order: Literal["<", ">"]
    dim: tuple[int, ...]
    datatype: int
    pixdim: tuple[float, ...]
    voxel_offset: float
    slope: float
    intercept: float
    units: int
    qform_code: int
    sform_code: int
    quaternion: tuple[float, float, float]
    quaternion_offset: tuple[float, float, float]
    sform_rows: tuple[float, ...]


@dataclass(frozen=True)
class NiftiHeader:
    """What a checked header says.

    Attributes:
        size_xyz: voxels along the stored axes.
        spacing_mm: distance between voxels along the stored axes (pixdim, which SimpleITK always follows).
        datatype: numpy name of the stored voxels.
        orientation: which stored transform SimpleITK follows; "none" reads with the identity.
        notes: one-line remarks that the user should see.
        compressed: whether the file is gzip, whatever its name.
        raw: the fields as stored.
    """

    size_xyz: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    datatype: str
    orientation: Orientation
    notes: tuple[str, ...]
    compressed: bool
    raw: RawHeader


def has_nifti_suffix(path: Path) -> bool:
    """Whether the name ends in .nii or .nii.gz, in any case."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def open_stream(path: Path) -> BinaryIO | gzip.GzipFile:
    """Open a file for reading, through gzip if its first bytes say so (names lie)."""
    file = path.open("rb")
    magic = file.read(2)
    file.seek(0)
    if magic != b"\x1f\x8b":
        return file
    file.close()
    return gzip.open(path, "rb")


def require_readable_name(path: Path) -> None:
    """Refuse names that are no Unicode text: SimpleITK ends the whole process on one.

    Raises:
        InputError: such a name.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise InputError(f"the name {shown} is not UTF-8", "rename the file") from error


def read_header(path: Path | str) -> NiftiHeader:
    """Read and check a header, and count the file's bytes to the end.

    Args:
        path: a .nii or .nii.gz file, NIfTI-1 or NIfTI-2, in either byte order.

    Returns:
        The checked header. Memory stays within a few MiB, whatever the file holds or claims.

    Raises:
        InputError: no single 3D scalar image can be read from the file; says what was found and what to do.
    """
    path = Path(path)
    require_readable_name(path)
    if not path.exists():
        raise InputError(f"{path} does not exist", "check the path")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise InputError(f"{path} is {kind}", "name one .nii or .nii.gz file")
    if not has_nifti_suffix(path):
        raise InputError(
            f"{path} has the unsupported suffix {path.suffix!r}", "give a .nii, .nii.gz, .nrrd or .mha file"
        )
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes)", "copy or export the file again")
        with open_stream(path) as stream:
            raw = _parse(path, stream.read(540))
        size, spacing = _checked_geometry(path, raw)
        orientation, notes = _orientation(path, raw, size, spacing)
        voxels = math.prod(size)
        needed = int(raw.voxel_offset) + voxels * np.dtype(DATATYPES[raw.datatype]).itemsize
        compressed = _require_length(path, needed)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is truncated or damaged ({error})", "copy or download it again") from error
    except OSError as error:
        raise InputError(f"can't read {path} ({error.strerror or error})", "check the file's permissions") from error
    return NiftiHeader(size, spacing, DATATYPES[raw.datatype], orientation, notes, compressed, raw)


def _parse(path: Path, content: bytes) -> RawHeader:
    sizes: dict[int, Literal["<", ">"]] = {348: "<", 540: "<"}
    length = struct.unpack_from("<i", content)[0] if len(content) >= 4 else 0
    if length not in sizes:
        length = struct.unpack_from(">i", content)[0] if len(content) >= 4 else 0
        sizes = {348: ">", 540: ">"}
    export = "give a .nii or .nii.gz file, or convert it to one"
    if length not in sizes:
        raise InputError(f"{path} is not a NIfTI image (it begins with {content[:4].hex()})", export)
    order = sizes[length]
    if len(content) < length:
        raise InputError(f"{path} is truncated: {len(content)} of {length} header bytes", "copy or download it again")
    magic = content[344:348] if length == 348 else content[4:8]
    if magic != (b"n+1\0" if length == 348 else b"n+2\0"):
        raise InputError(f"{path} is not a single-file NIfTI image (magic {magic.hex()})", export)

    def unpack(fields: str, offset: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + fields, content, offset)

    if length == 348:
        datatype, dim, pixdim = unpack("h", 70)[0], unpack("8h", 40), unpack("8f", 76)
        voxel_offset, slope, intercept = unpack("3f", 108)
        units = content[123]
        qform_code, sform_code = unpack("2h", 252)
        transform = unpack("18f", 256)
    else:
        datatype, dim, pixdim = unpack("h", 12)[0], unpack("8q", 16), unpack("8d", 104)
        voxel_offset, slope, intercept = unpack("q2d", 168)
        qform_code, sform_code = unpack("2i", 344)
        transform = unpack("18d", 352)
        units = unpack("i", 500)[0]
    return RawHeader(
        version=1 if length == 348 else 2,
        byte_order=order,
        dim=dim,
        datatype=datatype,
        pixdim=pixdim,
        voxel_offset=voxel_offset,
        slope=slope,
        intercept=intercept,
        units=units & 7,
        qform_code=qform_code,
        sform_code=sform_code,
        quaternion=(transform[0], transform[1], transform[2]),
        quaternion_offset=(transform[3], transform[4], transform[5]),
        sform_rows=transform[6:],
    )


def _checked_geometry(path: Path, raw: RawHeader) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    """Size and spacing in mm, or an InputError for whatever is not one 3D scalar image."""
    dimensions = raw.dim[0]
    if not 1 <= dimensions <= 7:
        raise InputError(f"{path} claims {dimensions} dimensions (dim[0])", "export the scan again")
    shape = raw.dim[1 : dimensions + 1]
    text = " x ".join(str(size) for size in shape)
    if dimensions < 3:
        raise InputError(f"{path} is a {dimensions}D image ({text})", "give a 3D scan in one file")
    if min(shape) < 1:
        raise InputError(f"{path} claims a size of {text} (dim)", "export the scan again")
    if math.prod(shape) > LARGEST_VOXEL_COUNT:
        raise InputError(
            f"{path} claims {text} = {math.prod(shape)} voxels, more than {LARGEST_VOXEL_COUNT}",
            "mend the header, or crop the scan",
        )
    if shape[3:] == (1, 3):
        raise InputError(f"{path} is a colour image ({text})", "give a grey one")
    if math.prod(shape[3:]) > 1:
        raise InputError(
            f"{path} holds {math.prod(shape[3:])} volumes ({text})", "save one volume as a file of its own"
        )
    if raw.datatype not in DATATYPES:
        name = REFUSED_DATATYPES.get(raw.datatype, "unknown")
        raise InputError(
            f"{path} has {name} voxels (datatype {raw.datatype})",
            "save one real number per voxel, as int16 or float32",
        )
    header_bytes = 352 if raw.version == 1 else 544
    if not header_bytes <= raw.voxel_offset <= LARGEST_VOXEL_OFFSET:  # False for NaN, too
        raise InputError(
            f"{path} places its voxels at byte {raw.voxel_offset:g} (vox_offset)",
            f"export it again; {header_bytes} is usual",
        )
    pixdim = raw.pixdim[1:4]
    if not all(math.isfinite(step) and step > 0 for step in pixdim):
        stored = ", ".join(f"{step:g}" for step in pixdim)
        raise InputError(f"{path} has a spacing of ({stored}) (pixdim)", "mend the header's spacing")
    scale = MILLIMETRES_PER_UNIT.get(raw.units, 1.0)
    return (shape[0], shape[1], shape[2]), (pixdim[0] * scale, pixdim[1] * scale, pixdim[2] * scale)


def _require_length(path: Path, needed: int) -> bool:
    """Count the file's bytes without keeping them; return whether it is compressed."""
    with open_stream(path) as stream:
        compressed = isinstance(stream, gzip.GzipFile)
        if isinstance(stream, gzip.GzipFile):
            found = 0
            while found <= needed + TOLERATED_EXTRA_BYTES:  # a gzip bomb is left after what its header claims
                try:
                    # read1, unlike read, hands over what it has before it finds the stream cut off.
                    count = len(stream.read1(CHUNK_BYTES))
                except EOFError:
                    break  # cut off: said below, with the count
                if count == 0:
                    return _require_bytes(path, found, needed, compressed)
                found += count
            else:
                raise InputError(
                    f"{path} goes on after the {needed} bytes that its header claims",
                    "mend the header's size (dim), or export the scan again",
                )
            raise InputError(
                f"{path} is truncated: its gzip stream breaks off after {found} of {needed} bytes",
                "copy or download it again",
            )
    found = path.stat().st_size
    if found > needed + TOLERATED_EXTRA_BYTES:
        raise InputError(
            f"{path} has {found} bytes where its header claims {needed}",
            "mend the header's size (dim), or export the scan again",
        )
    return _require_bytes(path, found, needed, compressed)


def _require_bytes(path: Path, found: int, needed: int, compressed: bool) -> bool:
    if found < needed:
        raise InputError(f"{path} is truncated: {found} of {needed} bytes", "copy or download it again")
    return compressed


def _quaternion_matrix(raw: RawHeader) -> Matrix:
    """Rotation and offset of the qform, 3 x 4, without the spacing (nifti1.h, method 2)."""
    b, c, d = raw.quaternion
    squared = 1.0 - (b * b + c * c + d * d)
    if squared < 1e-7:  # as the NIfTI library does: a half turn, made a unit quaternion
        length = math.sqrt(b * b + c * c + d * d)
        a, b, c, d = 0.0, b / length, c / length, d / length
    else:
        a = math.sqrt(squared)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    if raw.pixdim[0] < 0:
        rotation[:, 2] *= -1
    return np.column_stack([rotation, raw.quaternion_offset])


def _orientation(
    path: Path, raw: RawHeader, size: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> tuple[Orientation, tuple[str, ...]]:
    """Which stored transform SimpleITK follows, and what the user should know about it.

    Found by experiment with SimpleITK 2.5.7, and held by a test: the spacing is pixdim's in every case;
    orientation and origin are the sform's if it is the only one, or if its code is 1 (scanner) and it has no
    shear; else the qform's. So an sform with code 2..4 yields to any qform.
    """
    stored: dict[str, Matrix] = {}
    scale = MILLIMETRES_PER_UNIT.get(raw.units, 1.0)
    if raw.qform_code > 0:
        _require_finite(path, "qform", (*raw.quaternion, *raw.quaternion_offset))
        matrix = _quaternion_matrix(raw)
        stored["qform"] = np.column_stack([matrix[:, :3] * spacing_mm, matrix[:, 3] * scale])
    sheared = False
    if raw.sform_code > 0:
        _require_finite(path, "sform", raw.sform_rows)
        stored["sform"] = np.array(raw.sform_rows).reshape(3, 4) * scale
        shear = _shear(stored["sform"])
        sheared = shear > SHEAR_TOLERANCE
        if sheared and raw.qform_code <= 0:
            raise InputError(
                f"{path} has a sheared affine (sform, cosine {shear:.4g} between two of its axes)",
                "resample the scan onto right-angled axes",
            )
    if not stored:
        note = f"{path} stores no orientation (qform_code = sform_code = 0): sides may be swapped; axes taken as LPS"
        return "none", (note,)
    chosen: Orientation = "qform"
    if "sform" in stored and not sheared and (raw.sform_code == 1 or "qform" not in stored):
        chosen = "sform"
    notes = []
    if len(stored) == 2:
        gap = _largest_gap(stored["qform"], stored["sform"], size)
        if gap > DISAGREEMENT_MM:
            notes.append(f"{path}: qform and sform disagree by up to {gap:.4g} mm; the {chosen} is used")
    if chosen == "sform":
        norms = np.linalg.norm(stored["sform"][:, :3], axis=0)
        if float(np.max(np.abs(norms - spacing_mm) * (np.array(size) - 1))) > DISAGREEMENT_MM:
            notes.append(
                f"{path}: the sform's spacing ({_numbers(norms)}) mm differs from pixdim's "
                f"({_numbers(spacing_mm)}) mm; pixdim's is used"
            )
    return chosen, tuple(notes)


def _require_finite(path: Path, name: str, values: tuple[float, ...]) -> None:
    if not all(math.isfinite(value) for value in values):
        raise InputError(f"{path} has a {name} that is not finite ({_numbers(values)})", "mend the header")


def _numbers(values: Any) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _shear(matrix: Matrix) -> float:
    """Largest cosine between two columns; 1 if a column is zero."""
    norms = np.linalg.norm(matrix[:, :3], axis=0)
    if not np.all(norms > 0):
        return 1.0
    unit = matrix[:, :3] / norms
    return float(np.max(np.abs(unit.T @ unit - np.eye(3))))


def _largest_gap(first: Matrix, second: Matrix, size: tuple[int, int, int]) -> float:
    """Largest distance in mm between where two 3 x 4 matrices place the volume's corners."""
    grid = np.meshgrid(*[(0, length - 1) for length in size], [1], indexing="ij")
    corners = np.stack([axis.ravel() for axis in grid])
    return float(np.max(np.linalg.norm((first - second) @ corners, axis=0)))
