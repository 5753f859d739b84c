"""Checking a NIfTI file before its voxels are read: header, placement and length.

nibabel parses the header. It believes what a header claims, so a damaged file would be read in part, or fill the
memory. Here each claim is checked, and the stream counted to its end in bounded memory.
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from psmnet.errors import InputError
from psmnet.io.nifti_placement import placement
from psmnet.volume import Volume

LARGEST_VOXEL_COUNT = 4_000_000_000
LARGEST_VOXEL_OFFSET = 1 << 30
SMALLEST_SLOPE = 2.0**-52
TOLERATED_EXTRA_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class NiftiHeader:
    """What a checked header says.

    Attributes:
        grid: where the voxels lie; in their place stands one 0, shown everywhere.
        dtype: of the stored voxels, with their byte order.
        scaling: slope and intercept; None where the stored values are the values.
        voxel_offset: byte at which the voxels begin.
        notes: one-line remarks for the user.
    """

    grid: Volume
    dtype: np.dtype[Any]
    scaling: tuple[float, float] | None
    voxel_offset: int
    notes: tuple[str, ...]


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
    """Refuse names that are not Unicode text: SimpleITK ends the whole process on one.

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
        InputError: no single 3D scalar image can be read from the file.
    """
    path = Path(path)
    require_readable_name(path)
    if not has_nifti_suffix(path) and path.is_file():
        raise InputError(f"{path} has the suffix {path.suffix!r}", "give a .nii, .nii.gz, .nrrd or .mha file")
    try:
        if not path.exists():
            raise InputError(f"{path} does not exist", "check the path")
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise InputError(f"{path} is {kind}", "name one .nii or .nii.gz file")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes)", "copy or export the file again")
        with open_stream(path) as stream:
            raw = _parse(path, stream.read(540))
        size = _checked_size(path, raw)
        dtype, scaling, offset = _checked_storage(path, raw)
        grid, notes = placement(path, raw, size)
        _require_length(path, offset + math.prod(size) * dtype.itemsize)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is truncated or damaged ({error})", "copy or download it again") from error
    except OSError as error:
        raise InputError(f"can't read {path} ({error.strerror or error})", "check the file's permissions") from error
    return NiftiHeader(grid, dtype, scaling, offset, notes)


def _parse(path: Path, content: bytes) -> Any:
    """nibabel's header of either version, in the byte order that its first field tells."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    remedy = "give a .nii or .nii.gz file, or convert it to one"
    kind: Any
    for kind in (Nifti1Header, Nifti2Header):
        size = kind.sizeof_hdr
        for order, word in (("<", size.to_bytes(4, "little")), (">", size.to_bytes(4, "big"))):
            if content[:4] != word:
                continue
            if len(content) < size:
                what = f"{path} is truncated: {len(content)} of {size} header bytes"
                raise InputError(what, "copy or download it again")
            raw = kind(content[:size], order, check=False)
            if raw["magic"].item() != kind.single_magic:
                raise InputError(f"{path} is not a single-file NIfTI image (.hdr with .img, or Analyze)", remedy)
            return raw
    raise InputError(f"{path} is not a NIfTI image", remedy)


def _checked_size(path: Path, raw: Any) -> tuple[int, int, int]:
    """Voxels along the stored axes; an InputError for all but one 3D scalar image."""
    dimensions, *sizes = raw["dim"].tolist()
    if not 1 <= dimensions <= 7:
        raise InputError(f"{path} claims {dimensions} dimensions (dim[0])", "export the scan again")
    shape = sizes[:dimensions]
    text = " x ".join(map(str, shape))
    if dimensions < 3:
        raise InputError(f"{path} is a {dimensions}D image ({text})", "give a 3D scan in one file")
    if min(shape) < 1:
        raise InputError(f"{path} claims a size of {text} (dim)", "export the scan again")
    if (voxels := math.prod(shape)) > LARGEST_VOXEL_COUNT:
        raise InputError(
            f"{path} claims {text} = {voxels} voxels, more than {LARGEST_VOXEL_COUNT}",
            "fix the size in the header, or crop the scan",
        )
    if shape[3:] == [1, 3]:
        raise InputError(f"{path} is a colour image ({text})", "give a grey image")
    if (volumes := math.prod(shape[3:])) > 1:
        raise InputError(f"{path} holds {volumes} volumes ({text})", "save one volume as a file of its own")
    return shape[0], shape[1], shape[2]


def _checked_storage(path: Path, raw: Any) -> tuple[np.dtype[Any], tuple[float, float] | None, int]:
    """Type and scaling of the voxels, and the byte at which they begin."""
    from nibabel.nifti1 import data_type_codes

    table: Any = data_type_codes
    code = int(raw["datatype"])
    dtype: np.dtype[Any] = np.dtype(table.dtype[code] if code in table.code else np.void)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        label = table.label[code] if code in table.code else "unknown"
        raise InputError(f"{path} has {label} voxels (datatype {code})", "save one number a voxel: int16 or float32")
    offset, usual = float(raw["vox_offset"]), raw.single_vox_offset
    if not usual <= offset <= LARGEST_VOXEL_OFFSET:  # False for NaN, too
        what = f"{path} places its voxels at byte {offset:g} (vox_offset)"
        raise InputError(what, f"export it again; {usual} is usual")
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    # As the NIfTI library and ITK do: what is not finite is not set, nor is a slope that would leave nothing.
    intercept = intercept if math.isfinite(intercept) else 0.0
    unset = not math.isfinite(slope) or abs(slope) <= SMALLEST_SLOPE or (slope, intercept) == (1, 0)
    return dtype.newbyteorder(raw.endianness), None if unset else (slope, intercept), int(offset)


def _require_length(path: Path, needed: int) -> None:
    """Count the file's bytes without keeping them."""
    with open_stream(path) as stream:
        found = 0 if isinstance(stream, gzip.GzipFile) else path.stat().st_size
        while isinstance(stream, gzip.GzipFile) and found <= needed + TOLERATED_EXTRA_BYTES:  # no further: a bomb
            try:
                # read1, unlike read, hands over what it has before it finds the stream cut off.
                count = len(stream.read1(CHUNK_BYTES))
            except EOFError as error:
                raise InputError(
                    f"{path} is truncated: its gzip stream breaks off after {found} of {needed} bytes",
                    "copy or download it again",
                ) from error
            if count == 0:
                break
            found += count
    if found < needed:
        raise InputError(f"{path} is truncated: {found} of {needed} bytes", "copy or download it again")
    if found > needed + TOLERATED_EXTRA_BYTES:
        raise InputError(
            f"{path} is longer than the {needed} bytes that its header claims",
            "fix the size in the header (dim), or export the scan again",
        )
