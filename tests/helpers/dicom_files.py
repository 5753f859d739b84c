"""DICOM slices written for tests, as scanners and anonymisers leave them."""

import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

AXIAL = (1, 0, 0, 0, 1, 0)
SOP_CLASSES = {"CT": uid.CTImageStorage, "MR": uid.MRImageStorage, "PT": uid.PositronEmissionTomographyImageStorage}


def write_slice(
    path: Path,
    stored_yx: np.ndarray,
    *,
    position_mm: Sequence[float] = (0, 0, 0),
    orientation: Sequence[float] = AXIAL,
    spacing_yx: Sequence[float] = (1, 1),
    modality: str = "MR",
    slope: float = 1,
    intercept: float = 0,
    bits_stored: int | None = None,
    number: int = 1,
    series: str = "series",
    uids: bool = True,
    syntax: uid.UID = uid.ExplicitVRLittleEndian,
    **tags: Any,
) -> Path:
    """Write one slice.

    Args:
        path: the file; its folder is made.
        stored_yx: values as they are stored, before slope and intercept: int8 to int32, signed or not.
        position_mm: of the first pixel's centre, LPS.
        orientation: unit vectors to the next column, then to the next row, LPS.
        spacing_yx: between rows, between columns, mm.
        bits_stored: of the allocated bits; all of them by default.
        series: slices with the same word share a SeriesInstanceUID.
        uids: whether there are any but the SOP class.
        syntax: one of the uncompressed ones, RLELossless or JPEG2000Lossless.
        tags: DICOM keywords with their values, set last; None takes the tag out.
    """
    allocated = 8 * stored_yx.dtype.itemsize
    dataset = Dataset()
    dataset.SOPClassUID = SOP_CLASSES.get(modality, uid.SecondaryCaptureImageStorage)
    dataset.Modality = modality
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PatientName, dataset.PatientID = "Test^Nobody", "secret-4711"
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = [_decimal(value) for value in position_mm]
    dataset.ImageOrientationPatient = [_decimal(value) for value in orientation]
    dataset.PixelSpacing = [_decimal(value) for value in spacing_yx]
    dataset.SliceThickness = "3"  # that of no scan here: it must not be used
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored_yx.shape
    dataset.BitsAllocated, dataset.BitsStored = allocated, bits_stored or allocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored_yx.dtype.kind == "i")
    if modality == "CT" or (slope, intercept) != (1, 0):  # most MR files have neither
        dataset.RescaleSlope, dataset.RescaleIntercept = _decimal(slope), _decimal(intercept)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.TransferSyntaxUID = syntax
    if uids:
        dataset.StudyInstanceUID = _uid("study", str(path.parent))
        dataset.SeriesInstanceUID = _uid(series, str(path.parent))
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = _uid("slice", str(path))
    dataset.file_meta, dataset.preamble = meta, bytes(128)
    _put_pixels(dataset, stored_yx, syntax)
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    implicit = syntax == uid.ImplicitVRLittleEndian
    little = syntax != uid.ExplicitVRBigEndian
    dataset.save_as(path, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    return path


def write_series(
    folder: Path,
    stored_zyx: np.ndarray,
    *,
    spacing_mm: Sequence[float] = (1, 1, 1),
    origin_mm: Sequence[float] = (0, 0, 0),
    direction: np.ndarray | None = None,
    names: str | Sequence[str] = "IMG-0002-{:05d}.dcm",
    shuffle: int | None = None,
    slope: float | Sequence[float] = 1,
    intercept: float | Sequence[float] = 0,
    one_series_per_slice: bool = True,
    **options: Any,
) -> list[Path]:
    """Write a series on the lattice of a `Volume` with the same spacing, origin and direction.

    Args:
        stored_zyx: values as they are stored, before slope and intercept.
        spacing_mm: along (x, y, z).
        direction: columns are the directions of x, y and z, LPS; z may run against x cross y.
        names: one for each slice, or a template for their number from 1.
        shuffle: seed that mixes names and InstanceNumbers among the slices.
        slope: of all slices, or one for each; intercept likewise.
        one_series_per_slice: every slice has its own SeriesInstanceUID, as in CHAOS.
        options: as of `write_slice`.

    Returns:
        The files, in the order of `stored_zyx`.
    """
    count = len(stored_zyx)
    direction = np.eye(3) if direction is None else np.asarray(direction, dtype=float)
    numbers = list(range(1, count + 1))
    if shuffle is not None:
        random.Random(shuffle).shuffle(numbers)
    written = [names.format(number) if isinstance(names, str) else names[number - 1] for number in numbers]
    slopes, intercepts = (np.broadcast_to(value, count).tolist() for value in (slope, intercept))
    return [
        write_slice(
            folder / name,
            stored,
            position_mm=np.asarray(origin_mm) + direction[:, 2] * spacing_mm[2] * index,
            orientation=(*direction[:, 0], *direction[:, 1]),
            spacing_yx=(spacing_mm[1], spacing_mm[0]),
            slope=slopes[index],
            intercept=intercepts[index],
            number=number,
            series=f"series {index}" if one_series_per_slice else "series",
            **options,
        )
        for index, (stored, name, number) in enumerate(zip(stored_zyx, written, numbers, strict=True))
    ]


def _put_pixels(dataset: Dataset, stored_yx: np.ndarray, syntax: uid.UID) -> None:
    if syntax == uid.JPEG2000Lossless:
        stream = io.BytesIO()
        Image.fromarray(stored_yx).save(stream, "JPEG2000", no_jp2=True, irreversible=False)
        dataset.PixelData = encapsulate([stream.getvalue()])
    else:
        order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
        content = stored_yx.astype(stored_yx.dtype.newbyteorder(order)).tobytes()
        dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if syntax == uid.JPEG2000Lossless or stored_yx.dtype.itemsize == 1 else "OW"
    dataset["PixelData"].is_undefined_length = syntax == uid.JPEG2000Lossless
    if syntax == uid.RLELossless:
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian  # what it is up to here
        dataset.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)


def _decimal(value: float) -> str:
    """A decimal string as DICOM wants it: at most 16 characters."""
    return next(text for digits in range(16, 5, -1) if len(text := f"{float(value):.{digits}g}") <= 16)


def _uid(*words: str) -> uid.UID:
    return uid.generate_uid(entropy_srcs=list(words))
