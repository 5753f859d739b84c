"""Reading NRRD and MetaImage, and writing NRRD, by SimpleITK."""

from pathlib import Path
from typing import Any

import numpy as np

from psmnet.errors import InputError
from psmnet.io.itk_header import ItkHeader, read_itk_header
from psmnet.volume import Volume, as_image, simpleitk, volume_of


def lattice_of(path: Path, size_xyz: tuple[int, int, int]) -> Volume:
    """A file's grid, without its voxels (the array is one 0, shown everywhere).

    Raises:
        RuntimeError: SimpleITK can't read it.
    """
    reader = simpleitk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    direction = np.array(reader.GetDirection()[:9]).reshape(3, 3)
    empty = np.broadcast_to(np.uint8(0), size_xyz[::-1])
    return Volume(empty, reader.GetSpacing()[:3], reader.GetOrigin()[:3], direction)


def read_itk(path: Path) -> tuple[Volume, tuple[str, ...]]:
    """Voxels as stored of a .nrrd, .mha or .mhd, and remarks for the user.

    Raises:
        InputError: the file is not one 3D scalar image, or is damaged.
    """
    header = read_itk_header(path)
    if header.layers > 1:
        raise InputError(
            f"{path} holds {header.layers} layers of segments, not one scan",
            "give it as a label map, or save one volume",
        )
    image = read_image(path)
    if image.GetSize() != header.size_xyz or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(
            f"{path} reads as {image.GetSize()} where its header says {header.size_xyz}", "export it again"
        )
    return volume_of(image), remarks(path, header)


def read_itk_lattice(path: Path) -> Volume:
    """The grid of a .nrrd, .mha or .mhd, without its voxels.

    Raises:
        InputError: as `read_itk`.
    """
    header = read_itk_header(path)
    try:
        return lattice_of(path, header.size_xyz)
    except RuntimeError as error:
        raise InputError(f"can't read {path} ({last_line(error)})", "export the scan again") from error


def write_nrrd(volume: Volume, temporary: Path, path: Path) -> None:
    """Write a compressed .nrrd.

    Args:
        volume: what to write.
        temporary: where to.
        path: what the file will be called, for errors.

    Raises:
        InputError: SimpleITK can't write it, or the disk is full.
    """
    remedy = "choose a writable folder with free space"
    try:
        simpleitk().WriteImage(as_image(volume), str(temporary), useCompression=True)
    except RuntimeError as error:
        raise InputError(f"can't write {path} ({last_line(error)})", remedy) from error
    try:
        read_itk_header(temporary)  # ITK is silent when the disk is full
    except InputError as error:
        reason = error.what.replace(str(temporary), "the file")
        raise InputError(f"can't write {path} ({reason}; is the disk full?)", remedy) from error


def read_image(path: Path) -> Any:
    """SimpleITK's image of a file whose header has been checked.

    Raises:
        InputError: SimpleITK can't read it.
    """
    try:
        return simpleitk().ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"can't read {path} ({last_line(error)})", "export the scan again") from error


def remarks(path: Path, header: ItkHeader) -> tuple[str, ...]:
    """Remarks for the user on a header."""
    return () if header.oriented else (f"{path} stores no orientation: sides may be swapped; axes taken as LPS",)


def last_line(error: Exception) -> str:
    """The last line of an ITK message, which has the reason; the others are addresses in ITK's sources."""
    return str(error).strip().splitlines()[-1]
