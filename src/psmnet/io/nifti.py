"""Reading NIfTI. SimpleITK is imported when a file has passed its check."""

import contextlib
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from psmnet.errors import InputError
from psmnet.io.itk import last_line, lattice_of
from psmnet.io.nifti_header import CHUNK_BYTES, NiftiHeader, open_stream, read_header
from psmnet.volume import Array, Volume, simpleitk, volume_of


def read_nifti(path: Path) -> tuple[Volume, tuple[str, ...]]:
    """Voxels as stored and geometry as SimpleITK understands it, and remarks for the user.

    Raises:
        InputError: the file is not one 3D scalar image, or is damaged.
    """
    header = read_header(path)
    with _naming(path, header), _readable_by_simpleitk(path, header) as readable:
        image = simpleitk().ReadImage(str(readable))
    if image.GetSize() != header.size_xyz:
        raise InputError(
            f"{path} reads as {image.GetSize()} where its header says {header.size_xyz}",
            "export the scan again",
        )
    volume = volume_of(image)
    if header.datatype.startswith("float"):
        _restore_not_finite(volume.array_zyx, path, header)
    return volume, header.notes


def read_nifti_lattice(path: Path) -> Volume:
    """Where the voxels lie, without them.

    Raises:
        InputError: as `read_nifti`, but for the voxels.
    """
    header = read_header(path)
    with _naming(path, header), _readable_by_simpleitk(path, header) as readable:
        return lattice_of(readable, header.size_xyz)


@contextlib.contextmanager
def _naming(path: Path, header: NiftiHeader) -> Iterator[None]:
    """Say in one line what SimpleITK has against a file."""
    try:
        yield
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise InputError(
                f"{path} has a sheared affine ({header.orientation})",
                "resample the scan onto right-angled axes",
            ) from error
        raise InputError(f"can't read {path} ({last_line(error)})", "export the scan again") from error


def _restore_not_finite(array: Array, path: Path, header: NiftiHeader) -> None:
    """Put NaN and infinity back, in place: the NIfTI library behind SimpleITK has made them 0 without a word."""
    flat = array.reshape(-1)
    kind = np.dtype(header.datatype).newbyteorder(header.raw.byte_order)
    with open_stream(path) as stream:
        stream.seek(int(header.raw.voxel_offset))
        for begin in range(0, flat.size, CHUNK_BYTES // kind.itemsize):
            count = min(CHUNK_BYTES // kind.itemsize, flat.size - begin)
            stored = np.frombuffer(stream.read(count * kind.itemsize), dtype=kind)
            (places,) = np.nonzero(~np.isfinite(stored))
            flat[begin + places] = stored[places]


@contextlib.contextmanager
def _readable_by_simpleitk(path: Path, header: NiftiHeader) -> Iterator[Path]:
    """The path, or a temporary copy where SimpleITK can't read it: NIfTI-2, or gzip that is named .nii."""
    misnamed = header.compressed and not path.name.lower().endswith(".gz")
    if header.raw.version == 1 and not misnamed:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="psmnet-") as folder:
        copy = Path(folder) / "copy.nii"
        try:
            with open_stream(path) as stream, copy.open("wb") as target:
                if header.raw.version == 2:
                    target.write(_as_nifti1(path, header))
                    stream.seek(int(header.raw.voxel_offset))
                shutil.copyfileobj(stream, target, CHUNK_BYTES)
        except OSError as error:
            raise InputError(
                f"can't unpack {path} into {folder} ({error.strerror or error})",
                "free some space, or set TMPDIR",
            ) from error
        yield copy


def _as_nifti1(path: Path, header: NiftiHeader) -> bytes:
    """The NIfTI-1 header (352 bytes) that says the same; the voxels follow it."""
    raw = header.raw
    if max(header.size_xyz) > np.iinfo(np.int16).max:
        raise InputError(f"{path} has size {header.size_xyz}, above NIfTI-1's 32767", "crop the scan")
    content = bytearray(352)
    order = raw.byte_order
    bits = 8 * np.dtype(header.datatype).itemsize
    struct.pack_into(order + "i", content, 0, 348)
    struct.pack_into(order + "8h", content, 40, 3, *header.size_xyz, 1, 1, 1, 1)
    struct.pack_into(order + "2h", content, 70, raw.datatype, bits)
    struct.pack_into(order + "8f", content, 76, *raw.pixdim[:4], 1, 1, 1, 1)
    struct.pack_into(order + "3f", content, 108, 352, raw.slope, raw.intercept)
    content[123] = raw.units
    struct.pack_into(order + "2h", content, 252, raw.qform_code, raw.sform_code)
    struct.pack_into(order + "18f", content, 256, *raw.quaternion, *raw.quaternion_offset, *raw.sform_rows)
    content[344:348] = b"n+1\0"
    return bytes(content)
