"""Reading and writing scans and label maps, in any supported format."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psmnet.errors import InputError
from psmnet.io.dicom_folder import is_dicom_file, read_dicom_folder
from psmnet.io.itk import read_itk, read_itk_lattice, write_nrrd
from psmnet.io.itk_header import NRRD_SUFFIXES, has_itk_suffix
from psmnet.io.nifti import read_nifti, write_nifti
from psmnet.io.nifti_header import has_nifti_suffix, read_header, require_readable_name
from psmnet.io.voxels import as_labels, as_scan
from psmnet.system import atomic_path
from psmnet.volume import Volume


def has_scan_suffix(path: Path) -> bool:
    """Whether the name is that of a scan in one file: .nii, .nii.gz, .nrrd, .mha or .mhd, in any case."""
    return has_nifti_suffix(path) or has_itk_suffix(path)


@dataclass(frozen=True)
class Scan:
    """A scan and where it came from.

    Attributes:
        volume: the scan.
        slices: its DICOM files, in the order of array axis 0; empty for other formats.
        modality: as in DICOM; "" if unknown.
    """

    volume: Volume
    slices: tuple[Path, ...] = ()
    modality: str = ""


def read_scan(path: Path, *, series: Collection[str] = (), notes: list[str] | None = None) -> Scan:
    """Read a scan from a file, or from a folder of DICOM slices.

    Args:
        path: a file as of `read_volume`, or a folder.
        series: SeriesInstanceUIDs to read from folders; the largest series if none of them is there.
        notes: gets remarks for the user.

    Raises:
        InputError: as `read_volume` and `read_dicom_folder`; a DICOM file in place of its folder.
    """
    if path.is_dir():
        found = read_dicom_folder(path, uids=series, notes=notes)
        return Scan(found.volume, found.files, found.modality)
    if not has_scan_suffix(path) and path.is_file() and is_dicom_file(path):
        raise InputError(f"{path} is one DICOM file", "give the folder that holds all slices of the scan")
    return Scan(read_volume(path, notes=notes))


def read_volume(path: Path | str, *, notes: list[str] | None = None) -> Volume:
    """Read a 3D scan.

    Args:
        path: a .nii, .nii.gz, .nrrd, .mha or .mhd file.
        notes: gets remarks for the user, one line each: no stored orientation, transforms that disagree, voxels
            that were not finite.

    Returns:
        Integers as stored; everything else, and integers with a slope or intercept, as float32.
        Voxels that are not finite become the smallest finite value. A 4D file with one volume is squeezed.

    Raises:
        InputError: the file is not one 3D scalar image, is damaged, or holds no finite value.
    """
    path = Path(path)
    volume, remarks = _read(path)
    array, more = as_scan(volume.array_zyx, path)
    if notes is not None:
        notes += [*remarks, *more]
    return volume.with_array(array)


def read_labels(path: Path | str, *, notes: list[str] | None = None) -> Volume:
    """Read a 3D label map.

    Args:
        path: as of `read_volume`; floats are accepted if they are whole within 0.001.
        notes: gets remarks on the stored orientation, one line each.

    Returns:
        Label values in the smallest of uint8, uint16 and int32 that holds the largest.

    Raises:
        InputError: the file can't be read, or a value is fractional, negative, not finite or above 2^31 - 1.
    """
    path = Path(path)
    volume, remarks = _read(path)
    array = as_labels(volume.array_zyx, path)
    if notes is not None:
        notes += remarks
    return volume.with_array(array)


def read_lattice(path: Path | str) -> Volume:
    """A scan's grid, without its voxels (the array is one 0, shown everywhere).

    Raises:
        InputError: as `read_volume`, except for voxel values.
    """
    path = Path(path)
    return read_itk_lattice(path) if has_itk_suffix(path) else read_header(path).grid


def write_volume(volume: Volume, path: Path | str, *, overwrite: bool = True) -> None:
    """Write a scan or label map: its voxels and where they lie, nothing else.

    A NIfTI file gets the sform and qform of the file that the volume, or the scan whose grid it has, was read from;
    of other formats both are written from the grid, with code 1.

    Args:
        volume: what to write; the type of its voxels is kept (bool becomes uint8, float16 float32).
        path: ends in .nii.gz or .nrrd (compressed) or .nii; its folder is made if missing. The file appears whole
            or not at all.
        overwrite: replace an existing file.

    Raises:
        InputError: the suffix, the type of the voxels or the path can't be written, or the disk is full.
    """
    path = Path(path)
    require_readable_name(path)
    nifti = has_nifti_suffix(path)
    if not nifti and not path.name.lower().endswith(NRRD_SUFFIXES):
        raise InputError(f"can't write {path}: unsupported suffix {path.suffix!r}", "name it .nii.gz or .nrrd")
    if not overwrite and path.exists():
        raise InputError(f"{path} already exists", "choose another name, or allow overwriting")
    array = volume.array_zyx
    if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        raise InputError(f"can't write {path}: voxels of type {array.dtype}", "convert to int16 or float32")
    if nifti and max(array.shape) > np.iinfo(np.int16).max:
        raise InputError(f"can't write {path}: size {volume.size_xyz}, NIfTI-1 holds 32767", "crop it")
    if array.dtype == np.bool_ or array.dtype == np.float16:  # no file format has them
        array = array.astype(np.uint8 if array.dtype == np.bool_ else np.float32)

    with atomic_path(path) as temporary:
        if nifti:
            write_nifti(volume.with_array(array), temporary)
        else:
            write_nrrd(volume.with_array(array), temporary, path)


def _read(path: Path) -> tuple[Volume, tuple[str, ...]]:
    return read_itk(path) if has_itk_suffix(path) else read_nifti(path)
