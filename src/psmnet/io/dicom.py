"""Reading one DICOM series: tags through pydicom, pixels through SimpleITK's GDCM, each file on its own.

GDCM refuses compressed pixels that are cut off, but where an uncompressed file holds fewer than its header claims it
returns uninitialised memory: those bytes are counted here first. Both libraries are imported when needed.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from psmnet.errors import InputError
from psmnet.io.nifti_header import require_readable_name
from psmnet.volume import Array, Volume, simpleitk

if TYPE_CHECKING:
    from pydicom import Dataset

Matrix = npt.NDArray[np.float64]

# Nothing else is read: the patient's identity is never in memory.
TAGS = (
    *("SOPClassUID", "Modality", "NumberOfFrames", "PerFrameFunctionalGroupsSequence"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SpacingBetweenSlices", "SliceThickness"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    "PixelData",
)
QUANTITIES = ("CT", "PT")  # values are Hounsfield units or Bq/ml: a display setting must not change them
ORTHONORMAL_TOLERANCE = 2e-3  # cosines are stored in decimal, by some with three digits
SAME_ORIENTATION = 1e-3
SAME_SPACING = 1e-4  # relative
SAME_POSITION_MM = 0.01
UNEVEN, NOTABLY_UNEVEN = 0.05, 0.01  # distance of a slice from its place in an even stack, in steps
DRIFT_PIXELS = 0.25  # sideways drift above which the stack counts as sheared
COPY_AGAIN = "copy or export it again"


@dataclass(frozen=True)
class Series:
    """One DICOM series. Nothing else of its headers is kept.

    Attributes:
        volume: the scan. Slices run along +(row x column), so the direction is right-handed.
        files: where each slice comes from, in the order of array axis 0.
        modality: as in DICOM, for instance "CT" or "MR"; "" if the files have none.
    """

    volume: Volume
    files: tuple[Path, ...]
    modality: str


@dataclass(frozen=True, eq=False)
class _Slice:
    """The checked header of one file; lengths in mm, LPS."""

    path: Path
    modality: str
    syntax: str  # transfer syntax, to name in errors
    shape_yx: tuple[int, int]
    spacing_yx: tuple[float, float]
    position: Matrix  # (3,): centre of the first pixel
    cosines: Matrix  # (2, 3): unit vectors to the next column and to the next row
    step_hint: tuple[float | None, float | None]  # SpacingBetweenSlices, SliceThickness
    slope: float
    intercept: float
    complement_of: int | None  # MONOCHROME1: what GDCM subtracts the stored values from


def read_dicom_series(files: Sequence[Path], *, notes: list[str] | None = None) -> Series:
    """Read the slices of one scan, in any order, one file each.

    Slices are ordered and spaced by their positions only: file names, InstanceNumber and SliceThickness are not used,
    and UIDs may differ or be missing. The caller decides which files belong together.

    Args:
        files: all slices of the scan, and nothing else.
        notes: gets remarks for the user, one line each: slightly uneven slices, a single slice, inverted grey values.

    Returns:
        Values after each slice's own rescaling (HU in CT): int16, or int32 or int64 if they need it, where all slopes
        and intercepts are whole; float32 elsewhere. Grey values stored inverted (MONOCHROME1) are inverted
        back, except in CT and PT, whose values are quantities. Padding values stay.

    Raises:
        InputError: no files; a file that is not one grey slice, is damaged or lacks a tag; slices that differ in
            size, spacing, orientation or modality, share a position, leave a gap, or drift sideways (gantry tilt).
    """
    if not files:
        raise InputError("no DICOM files were given", "name the folder that holds the slices of one scan")
    # Sorted by name, so that the caller's order can't change the last digits of the orientation.
    slices = [_read_header(path) for path in sorted(map(Path, files))]
    for other in slices[1:]:
        _require_alike(slices[0], other)
    row, column = slices[0].cosines
    direction = np.column_stack([row, column, np.cross(row, column)])
    remarks: list[str] = []
    slices, step = _along_normal(slices, direction[:, 2], remarks)
    array = _read_voxels(slices, remarks)
    if notes is not None:
        notes.extend(remarks)
    x, y, z = slices[0].position.tolist()
    between_rows, between_columns = slices[0].spacing_yx
    volume = Volume(array, (between_columns, between_rows, step), (x, y, z), direction)
    return Series(volume, tuple(item.path for item in slices), slices[0].modality)


class _Tags:
    """Values of a data set, or an InputError that names the file and the tag."""

    def __init__(self, path: Path, dataset: "Dataset") -> None:
        self.path = path
        self.dataset = dataset

    def value(self, keyword: str) -> Any:
        """The value as pydicom has it; None if the tag is missing or empty."""
        try:
            value = self.dataset.get(keyword)
        except Exception as error:  # pydicom converts on access, and raises whatever its parser met
            raise InputError(f"{self.path} holds an unreadable {keyword}", COPY_AGAIN) from error
        return None if value is None or value == "" else value

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """`count` finite numbers; None if the tag is missing or empty."""
        value = self.value(keyword)
        if value is None:
            return None
        try:
            numbers = [float(number) for number in ([value] if isinstance(value, str | float | int) else value)]
        except (TypeError, ValueError):
            numbers = []
        if len(numbers) != count or not all(map(math.isfinite, numbers)):
            needed = "a finite number" if count == 1 else f"{count} finite numbers"
            raise InputError(f"{self.path} has {keyword} {str(value)!r:.80}, not {needed}", COPY_AGAIN)
        return tuple(numbers)

    def number(self, keyword: str, default: float) -> float:
        numbers = self.numbers(keyword, 1)
        return default if numbers is None else numbers[0]

    def required(self, keyword: str, count: int) -> tuple[float, ...]:
        numbers = self.numbers(keyword, count)
        if numbers is None:
            raise InputError(f"{self.path} has no {keyword}", "export it again with its geometry")
        return numbers


def _read_header(path: Path) -> _Slice:
    require_readable_name(path)
    # pydicom warns of values that are not strictly standard; what matters here is checked below.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tags = _Tags(path, _read_tags(path))
        _require_one_grey_slice(tags)
        rows, columns, bits, sign = (
            int(tags.required(keyword, 1)[0]) for keyword in ("Rows", "Columns", "BitsAllocated", "PixelRepresentation")
        )
        stored = int(tags.number("BitsStored", bits))
        high = int(tags.number("HighBit", stored - 1))
        # GDCM does not shift values that don't begin at the lowest bit.
        if bits not in (8, 16, 32) or not 1 <= stored <= bits or high != stored - 1 or sign not in (0, 1):
            raise InputError(
                f"{path} stores its pixels in an unknown way (bits allocated {bits}, stored {stored}, highest {high}, "
                f"PixelRepresentation {sign})",
                "convert it to 16 bits",
            )
        _require_pixel_bytes(tags, rows, columns, bits // 8)
        between_rows, between_columns = tags.required("PixelSpacing", 2)
        if min(between_rows, between_columns) <= 0:
            raise InputError(f"{path} has PixelSpacing {between_rows:g} x {between_columns:g} mm", COPY_AGAIN)
        slope = tags.number("RescaleSlope", 1)
        if slope == 0:
            raise InputError(f"{path} has RescaleSlope 0", "export it again with its rescaling")
        intercept = tags.number("RescaleIntercept", 0)
        inverted = tags.value("PhotometricInterpretation") == "MONOCHROME1"
        hints = [tags.numbers(keyword, 1) for keyword in ("SpacingBetweenSlices", "SliceThickness")]
        between, thickness = (hint[0] if hint and hint[0] > 0 else None for hint in hints)
        return _Slice(
            path,
            modality=str(tags.value("Modality") or ""),
            syntax=str(tags.dataset.file_meta.TransferSyntaxUID.name),
            shape_yx=(rows, columns),
            spacing_yx=(between_rows, between_columns),
            position=np.array(tags.required("ImagePositionPatient", 3)),
            cosines=_orthonormal(path, tags.required("ImageOrientationPatient", 6)),
            step_hint=(between, thickness),
            slope=slope,
            intercept=intercept,
            complement_of=(-1 if sign else 2**stored - 1) if inverted else None,
        )


def _read_tags(path: Path) -> "Dataset":
    """The tags that matter, pixels included; a file that is cut off before its pixels is refused."""
    import pydicom

    try:
        size = path.stat().st_size
        dataset = pydicom.dcmread(path, specific_tags=list(TAGS))
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        kind = getattr(dataset.file_meta.get("MediaStorageSOPClassUID"), "name", "of no known kind")
        pixels = dataset.get("PixelData")  # converted here, so that a broken element shows
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist", "check the path") from error
    except pydicom.errors.InvalidDicomError as error:
        what = "is empty (0 bytes)" if size == 0 else "is not a DICOM file (no DICM at byte 128)"
        raise InputError(f"{path} {what}", "remove it, or copy it again") from error
    except OSError as error:
        raise InputError(f"can't read {path} ({error.strerror or error})", "name one file per slice") from error
    except Exception as error:  # pydicom raises whatever its parser met
        raise InputError(
            f"{path} is truncated or damaged ({str(error) or type(error).__name__})", COPY_AGAIN
        ) from error
    if pixels is None or not syntax:
        raise InputError(
            f"{path} has no {'pixel data' if syntax else 'TransferSyntaxUID'} in its {size} bytes: "
            f"not an image ({kind}), or cut off",
            "remove it, or copy it again",
        )
    return dataset


def _require_one_grey_slice(tags: _Tags) -> None:
    frames = tags.number("NumberOfFrames", 1)
    if frames != 1 or "PerFrameFunctionalGroupsSequence" in tags.dataset:
        raise InputError(
            f"{tags.path} is a multi-frame (enhanced) DICOM file, {frames:g} frames",
            "convert it to NIfTI (dcm2niix), or export one file per slice",
        )
    samples = tags.number("SamplesPerPixel", 1)
    photometric = tags.value("PhotometricInterpretation") or "MONOCHROME2"
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise InputError(
            f"{tags.path} is in colour ({str(photometric)!r:.40}, {samples:g} samples per pixel)",
            "remove it: screenshots and overlays are not slices",
        )
    if "ModalityLUTSequence" in tags.dataset:
        raise InputError(
            f"{tags.path} stores its values through a lookup table (ModalityLUTSequence)", "export it with RescaleSlope"
        )


def _require_pixel_bytes(tags: _Tags, rows: int, columns: int, width: int) -> None:
    if min(rows, columns) < 1:
        raise InputError(f"{tags.path} has {rows} rows and {columns} columns", COPY_AGAIN)
    element = tags.dataset["PixelData"]
    if element.is_undefined_length:
        return  # compressed: GDCM checks it
    found, needed = len(element.value or b""), rows * columns * width
    if found < needed:
        raise InputError(f"{tags.path} is truncated: {found} of {needed} bytes of pixel data", COPY_AGAIN)
    if found >= needed + columns * width:  # up to a row more is padding, which some scanners add
        raise InputError(
            f"{tags.path} has {found} bytes of pixel data where {rows} x {columns} pixels need {needed}", COPY_AGAIN
        )


def _orthonormal(path: Path, stored: tuple[float, ...]) -> Matrix:
    """Row and column cosines, (2, 3), made exactly orthonormal."""
    cosines = np.array(stored).reshape(2, 3)
    if np.abs(cosines @ cosines.T - np.eye(2)).max() > ORTHONORMAL_TOLERANCE:
        raise InputError(f"{path} has axes that are not orthonormal (ImageOrientationPatient {stored})", COPY_AGAIN)
    row = cosines[0] / np.linalg.norm(cosines[0])
    column = cosines[1] - row * (row @ cosines[1])
    return np.stack([row, column / np.linalg.norm(column)])


def _require_alike(first: _Slice, other: _Slice) -> None:
    def require(alike: bool, what: str, of_other: object, of_first: object) -> None:
        if not alike:
            raise InputError(
                f"{other.path} has {what} {of_other} where {first.path} has {of_first}", "give the slices of one series"
            )

    require(other.modality == first.modality, "modality", repr(other.modality), repr(first.modality))
    require(other.shape_yx == first.shape_yx, "rows and columns", other.shape_yx, first.shape_yx)
    spacing_alike = np.allclose(other.spacing_yx, first.spacing_yx, rtol=SAME_SPACING, atol=0)
    require(spacing_alike, "PixelSpacing", other.spacing_yx, first.spacing_yx)
    turned = np.abs(other.cosines - first.cosines).max() > SAME_ORIENTATION
    require(not turned, "orientation", other.cosines.round(4).tolist(), first.cosines.round(4).tolist())


def _along_normal(slices: list[_Slice], normal: Matrix, notes: list[str]) -> tuple[list[_Slice], float]:
    """Slices by position along the normal, and the distance between them in mm."""
    if len(slices) == 1:
        for name, hint in zip(("SpacingBetweenSlices", "SliceThickness"), slices[0].step_hint, strict=True):
            if hint is not None:
                notes.append(f"{slices[0].path}: a single slice; {name} ({hint:g} mm) is taken for its spacing")
                return slices, hint
        notes.append(f"{slices[0].path}: a single slice without a thickness; 1 mm is assumed")
        return slices, 1.0
    slices = sorted(slices, key=lambda item: float(item.position @ normal))
    positions = np.stack([item.position for item in slices])
    along = positions @ normal
    steps = np.diff(along)
    if steps.min() < SAME_POSITION_MM:
        place = int(steps.argmin())
        raise InputError(
            f"{slices[place].path} and {slices[place + 1].path} lie at the same position ({along[place]:.6g} mm along "
            "the normal): two series, echoes or phases in one",
            "give the slices of one series",
        )
    sideways = positions - positions[0] - np.outer(along - along[0], normal)
    drift = np.linalg.norm(sideways, axis=1)
    if drift.max() > DRIFT_PIXELS * min(slices[0].spacing_yx):
        place = int(drift.argmax())
        extent = float(along[place] - along[0])
        raise InputError(
            f"{slices[place].path} lies {drift[place]:.4g} mm sideways of {slices[0].path}, {extent:.4g} mm along the "
            f"normal ({math.degrees(math.atan2(drift[place], extent)):.3g} degrees: gantry tilt?)",
            "resample the scan onto right-angled axes (dcm2niix does)",
        )
    step = float(along[-1] - along[0]) / len(steps)
    uneven = float(np.abs(along - along[0] - step * np.arange(len(along))).max()) / step
    if uneven > UNEVEN:
        usual = float(np.median(steps))
        place = int(np.abs(steps - usual).argmax())
        raise InputError(
            f"{slices[place].path} and {slices[place + 1].path} are {steps[place]:.5g} mm apart where {usual:.5g} mm "
            "is usual: slices are missing or unevenly spaced",
            "add the missing slices, or give those of one series",
        )
    if uneven > NOTABLY_UNEVEN:
        notes.append(
            f"{slices[0].path.parent}: slices are {steps.min():.5g} to {steps.max():.5g} mm apart; "
            f"the mean, {step:.5g} mm, is used"
        )
    return slices, step


def _read_voxels(slices: list[_Slice], notes: list[str]) -> Array:
    """Rescaled values, (z, y, x)."""
    folder = slices[0].path.parent
    arrays = []
    for item in slices:
        values = _decode(item)
        arrays.append(_compact(item, values))
    if any(item.complement_of is not None for item in slices):
        done = "left as stored" if slices[0].modality in QUANTITIES else "inverted back"
        notes.append(f"{folder}: grey values are stored inverted (MONOCHROME1); they are {done}")
    floats = any(array.dtype.kind == "f" for array in arrays)
    kind = np.dtype(np.float32) if floats else np.result_type(*arrays)
    return np.stack(arrays, dtype=kind, casting="same_kind")


def _decode(item: _Slice) -> Array:
    """Rescaled values, (y, x), in GDCM's type: integers where slope and intercept are whole, else float64."""
    sitk = simpleitk()

    try:
        image = sitk.ReadImage(str(item.path), imageIO="GDCMImageIO")
    except RuntimeError as error:  # its text has a memory address and no reason
        raise InputError(
            f"the pixels of {item.path} can't be decoded ({item.syntax}): damaged, or a rare encoding",
            "copy it again, or convert it to Explicit VR Little Endian",
        ) from error
    values: Array = sitk.GetArrayFromImage(image)
    if values.shape != (1, *item.shape_yx):
        raise InputError(f"{item.path} reads as {values.shape}, not as (1, *{item.shape_yx})", COPY_AGAIN)
    values = values[0]
    if item.complement_of is None or item.modality not in QUANTITIES:
        return values
    # GDCM computed v = slope * (c - stored) + intercept.
    turned = item.slope * item.complement_of + 2 * item.intercept
    return values.astype(np.int64) * -1 + int(turned) if values.dtype.kind in "iu" else turned - values


def _compact(item: _Slice, values: Array) -> Array:
    """The smallest of int16, int32 and int64 that holds the integers; float32 for the rest."""
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise InputError(
                f"{item.path} has values beyond float32 (slope {item.slope:g}, intercept {item.intercept:g})",
                COPY_AGAIN,
            )
        return values
    smallest, largest = int(values.min()), int(values.max())
    kinds = (np.int16, np.int32, np.int64)
    return values.astype(next(k for k in kinds if np.iinfo(k).min <= smallest and largest <= np.iinfo(k).max))
