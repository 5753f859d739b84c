"""Reading and writing NIfTI: voxels by nibabel, after the file has passed its check."""

import contextlib
import gzip
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from psmnet.io.nifti_header import open_stream, read_header
from psmnet.volume import Volume

MILLIMETRE = 2
GZIP_LEVEL = 4  # 6 makes scans 8 % smaller and takes four times as long
ORIENTED = 1  # code of a transform that leads to the scanner's axes


def read_nifti(path: Path) -> tuple[Volume, tuple[str, ...]]:
    """Voxels as stored (scaled ones as float64) and their geometry, and remarks for the user.

    Raises:
        InputError: the file is not one 3D scalar image, or is damaged.
    """
    from nibabel.volumeutils import apply_read_scaling, array_from_file

    header = read_header(path)
    with open_stream(path) as stream:
        file: Any = stream
        shape, offset = header.grid.array_zyx.shape, header.voxel_offset
        array = array_from_file(shape, header.dtype, file, offset, order="C", mmap=False)
    if header.scaling is not None:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is reported later
            array = apply_read_scaling(array, *header.scaling)
    return header.grid.with_array(array.astype(array.dtype.newbyteorder("="), copy=False)), header.notes


def write_nifti(volume: Volume, path: Path) -> None:
    """Write NIfTI-1, with the transforms that the volume was read with, else with both from its grid.

    Raises:
        OSError: the path can't be written, or the disk is full.
    """
    header = _header(volume)
    voxels = np.ascontiguousarray(volume.array_zyx, dtype=header.get_data_dtype())
    with contextlib.ExitStack() as stack:
        file: BinaryIO | gzip.GzipFile = stack.enter_context(path.open("wb"))
        if path.name.lower().endswith(".gz"):
            # Without a name and a time in it: the same volume gives the same bytes.
            file = stack.enter_context(gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0))
        file.write(header.binaryblock + bytes(4))  # 4: no extensions
        file.write(voxels.data)


def _header(volume: Volume) -> Any:
    from nibabel.nifti1 import Nifti1Header

    header = Nifti1Header(endianness="<")
    header.set_data_dtype(volume.array_zyx.dtype)
    header.set_data_shape(volume.size_xyz)
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = header.single_vox_offset, 1, 0
    header["magic"] = header.single_magic
    forms = volume.nifti_forms
    if forms is None:
        affine = np.diag([-1, -1, 1, 1]) @ volume.affine  # NIfTI is RAS
        header.set_qform(affine, ORIENTED)
        header.set_sform(affine, ORIENTED)
        header["pixdim"][1:4] = volume.spacing_mm
        header["xyzt_units"] = MILLIMETRE
        return header
    for name, value in asdict(forms).items():
        header[name] = value
    return header
