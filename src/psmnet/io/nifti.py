"""Reading and writing NIfTI scans and label maps. SimpleITK is imported when a file has passed its check."""

import contextlib
import importlib
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from psmnet.errors import InputError
from psmnet.files import atomic_path
from psmnet.io.nifti_header import (
    CHUNK_BYTES,
    NiftiHeader,
    has_nifti_suffix,
    open_stream,
    read_header,
    require_readable_name,
)
from psmnet.volume import Array, Volume

LABEL_TOLERANCE = 1e-3


def read_volume(path: Path | str, *, notes: list[str] | None = None) -> Volume:
    """Read a 3D scan.

    Args:
        path: a .nii or .nii.gz file.
        notes: remarks for the user are appended to it, one line each: no stored orientation, transforms that
            disagree, voxels that were not finite.

    Returns:
        Integers as they are stored; everything else, and integers with a slope or intercept, as float32.
        Voxels that are not finite become the smallest finite value. A 4D file with one volume is squeezed.

    Raises:
        InputError: the file is not one 3D scalar image, is damaged, or holds no finite value.
    """
    path = Path(path)
    header = read_header(path)
    volume = _read_with_simpleitk(path, header)
    remarks = list(header.notes)
    array = volume.array_zyx
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, see below
            array = array.astype(np.float32, copy=False)
        finite = np.isfinite(array)
        missing = array.size - int(np.count_nonzero(finite))
        if missing == array.size:
            raise InputError(f"{path} has no finite value in {array.size} voxels", "export the scan again")
        if missing:
            smallest = array[finite].min()
            array = np.where(finite, array, smallest)
            remarks.append(
                f"{path}: {missing} of {array.size} voxels are not finite; "
                f"they take the smallest finite value, {smallest:g}"
            )
    if notes is not None:
        notes.extend(remarks)
    return volume.with_array(array)


def read_lattice(path: Path | str) -> Volume:
    """Where a scan's voxels lie, without its voxels (they are one 0, shown everywhere).

    Raises:
        InputError: as `read_volume` does, but for what the voxels hold.
    """
    path = Path(path)
    header = read_header(path)
    reader = simpleitk().ImageFileReader()
    with _naming(path, header), _readable_by_simpleitk(path, header) as readable:
        reader.SetFileName(str(readable))
        reader.ReadImageInformation()
    direction = np.array(reader.GetDirection()[:9]).reshape(3, 3)
    empty = np.broadcast_to(np.uint8(0), header.size_xyz[::-1])
    return Volume(empty, reader.GetSpacing()[:3], reader.GetOrigin()[:3], direction)


def read_labels(path: Path | str, *, notes: list[str] | None = None) -> Volume:
    """Read a 3D label map.

    Args:
        path: a .nii or .nii.gz file; floats are accepted if they are whole within 0.001.
        notes: remarks on the stored orientation are appended to it, one line each.

    Returns:
        Label values in the smallest of uint8, uint16 and int32 that holds the largest.

    Raises:
        InputError: the file can't be read, or a value is fractional, negative, not finite or above 2^31 - 1.
    """
    path = Path(path)
    header = read_header(path)
    volume = _read_with_simpleitk(path, header)
    array = volume.array_zyx
    remedy = "give a label map (0 is background, 1, 2, ... are structures), not an image or a probability map"
    if array.dtype.kind == "f":
        whole = np.rint(array)
        with np.errstate(invalid="ignore"):  # infinity - infinity
            offending = ~(np.abs(array - whole) <= LABEL_TOLERANCE)  # True for NaN, too
        if offending.any():
            value = array[offending][0]
            raise InputError(f"label values must be whole numbers, got {value:.6g} in {path}", remedy)
        array = whole
    smallest, largest = int(array.min()), int(array.max())
    if smallest < 0:
        raise InputError(f"label values must not be negative, got {smallest} in {path}", remedy)
    if largest > np.iinfo(np.int32).max:
        raise InputError(f"label values must not exceed 2147483647, got {largest} in {path}", remedy)
    kind = next(kind for kind in (np.uint8, np.uint16, np.int32) if largest <= np.iinfo(kind).max)
    if notes is not None:
        notes.extend(header.notes)
    return volume.with_array(array.astype(kind, copy=False))


def write_volume(volume: Volume, path: Path | str, *, overwrite: bool = True) -> None:
    """Write a scan or label map; qform and sform are both set, nothing else about the scan is carried along.

    Args:
        volume: what to write; the type of its voxels is kept (bool becomes uint8, float16 float32).
        path: ends in .nii.gz (compressed) or .nii; its folder is made. It appears whole or not at all.
        overwrite: replace a file that is there already.

    Raises:
        InputError: the suffix, the type of the voxels or the path can't be written, or the disk is full.
    """
    path = Path(path)
    require_readable_name(path)
    if not has_nifti_suffix(path):
        raise InputError(f"can't write {path}: unsupported suffix {path.suffix!r}", "name it .nii.gz")
    if not overwrite and path.exists():
        raise InputError(f"{path} exists already", "choose another name, or allow overwriting")
    array = volume.array_zyx
    if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        raise InputError(f"can't write {path}: voxels of type {array.dtype}", "convert to int16 or float32")
    if max(array.shape) > np.iinfo(np.int16).max:
        raise InputError(f"can't write {path}: size {volume.size_xyz}, NIfTI-1 holds 32767", "crop it")
    if array.dtype == np.bool_ or array.dtype == np.float16:  # NIfTI knows neither
        array = array.astype(np.uint8 if array.dtype == np.bool_ else np.float32)

    sitk = simpleitk()
    image = as_image(volume.with_array(array))
    with atomic_path(path) as temporary:
        remedy = "choose a writable folder with free space"
        try:
            sitk.WriteImage(image, str(temporary))
        except RuntimeError as error:
            raise InputError(f"can't write {path} ({_last_line(error)})", remedy) from error
        try:
            read_header(temporary)  # ITK is silent when the disk is full: count what arrived
        except InputError as error:
            reason = error.what.replace(str(temporary), "the file")
            raise InputError(f"can't write {path} ({reason}; is the disk full?)", remedy) from error


def as_image(volume: Volume) -> Any:
    """SimpleITK's image of a scan: array and geometry, and nothing else."""
    image = simpleitk().GetImageFromArray(np.ascontiguousarray(volume.array_zyx))
    image.SetSpacing(volume.spacing_mm)
    image.SetOrigin(volume.origin_mm)
    image.SetDirection(volume.direction.ravel().tolist())
    return image


def simpleitk() -> Any:
    """SimpleITK, silent; Any because it ships no types and strict mypy refuses its functions."""
    sitk = importlib.import_module("SimpleITK")
    sitk.ProcessObject.GlobalWarningDisplayOff()
    return sitk


def _read_with_simpleitk(path: Path, header: NiftiHeader) -> Volume:
    """Voxels and geometry as SimpleITK understands them."""
    sitk = simpleitk()
    with _naming(path, header), _readable_by_simpleitk(path, header) as readable:
        image = sitk.ReadImage(str(readable))
    if image.GetSize() != header.size_xyz:
        raise InputError(
            f"{path} reads as {image.GetSize()} where its header says {header.size_xyz}",
            "export the scan again",
        )
    array = sitk.GetArrayFromImage(image)
    if header.datatype.startswith("float"):
        _restore_not_finite(array, path, header)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    return Volume(array, image.GetSpacing(), image.GetOrigin(), direction)


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
        raise InputError(f"can't read {path} ({_last_line(error)})", "export the scan again") from error


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


def _last_line(error: Exception) -> str:
    """The line of an ITK message that says something; the ones before it are addresses in ITK's sources."""
    return str(error).strip().splitlines()[-1]
