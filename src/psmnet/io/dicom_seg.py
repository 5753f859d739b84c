"""DICOM Segmentation: label maps that refer to the slices they were drawn on, written and read by highdicom.

A segmentation carries its patient's identity, by which viewers find the scan it belongs to. highdicom is an extra,
imported when needed.
"""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from psmnet.errors import InputError
from psmnet.io.dicom_folder import is_dicom_file
from psmnet.io.nifti_header import require_readable_name
from psmnet.io.organ_names import OrganName, unnamed
from psmnet.io.segments import Segments
from psmnet.io.voxels import stacked
from psmnet.system import atomic_path, how_to_install
from psmnet.volume import Array, Volume

SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # Segmentation, Label Map Segmentation
REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
SHARED = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")  # by all slices
# Required by the standard, though possibly empty (type 2); anonymisers remove them, and highdicom copies them.
MAY_BE_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
ANATOMY = ("123037004", "SCT", "Anatomical Structure")
MADE_BY = "psmnet"
SERIES_NUMBER = 900  # far above a scanner's own
SERIES_DESCRIPTION = "psmnet segmentation"
LARGEST_SEGMENTS = 65_535


def is_dicom_seg(path: Path) -> bool:
    """Whether a file is a DICOM Segmentation."""
    if not path.is_file() or not is_dicom_file(path):
        return False
    import pydicom

    try:
        meta = pydicom.dcmread(path, specific_tags=[], stop_before_pixels=True).file_meta
    except Exception:  # pydicom raises whatever its parser met; reading reports it in full
        return False
    return str(meta.get("MediaStorageSOPClassUID", "")) in SOP_CLASSES


def write_dicom_seg(
    labels: Volume, slices: Sequence[Path], names: Mapping[int, OrganName], path: Path, *, overwrite: bool = True
) -> None:
    """Write a label map as DICOM Segmentation, one segment per label present.

    Args:
        labels: on the slices' grid, one slice along array axis 0 for each file.
        slices: DICOM files of the scan, in that order.
        names: label value to name; label_7 and so on for the others.
        path: ends in .dcm. It appears whole or not at all.
        overwrite: replace a file that is there already.

    Raises:
        InputError: highdicom is missing, no voxel is labelled, a slice lacks a UID, the slices are of several
            series (as CHAOS stores them), or the file can't be written.
    """
    require_readable_name(path)
    if not overwrite and path.exists():
        raise InputError(f"{path} already exists", "choose another name, or allow overwriting")
    values = [int(value) for value in np.unique(labels.array_zyx) if value]
    if not 0 < len(values) <= LARGEST_SEGMENTS:
        raise InputError(f"can't write {path.name}: it has {len(values)} labels", "use the NIfTI mask")
    import pydicom

    highdicom = _highdicom()
    numbers = np.zeros(max(values) + 1, dtype=np.uint16 if len(values) > 255 else np.uint8)
    numbers[values] = np.arange(1, len(values) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values in the slices that are not strictly standard
        sources = [pydicom.dcmread(file, stop_before_pixels=True) for file in slices]
        _require_one_series(slices, sources, path)
        for tags in sources:
            for name in MAY_BE_EMPTY:
                tags.setdefault(name, None)
        try:
            segmentation = highdicom.seg.Segmentation(
                source_images=sources,
                pixel_array=numbers[labels.array_zyx],
                segmentation_type="BINARY",
                segment_descriptions=[
                    _description(highdicom, n, names.get(v, unnamed(v))) for n, v in enumerate(values, 1)
                ],
                series_instance_uid=highdicom.UID(),
                series_number=SERIES_NUMBER,
                series_description=SERIES_DESCRIPTION,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                manufacturer=MADE_BY,
                manufacturer_model_name=MADE_BY,
                software_versions=version("psmnet"),
                device_serial_number="0",
                content_label="PSMNET",
                content_description="Few-shot segmentation, for research",
            )
        except (ValueError, TypeError, AttributeError) as error:  # slices' tags that are not as in the standard
            said = " ".join(str(error).split())
            raise InputError(f"can't write {path.name} for these slices ({said:.200})", "use the NIfTI mask") from error
        with atomic_path(path) as temporary:
            segmentation.save_as(temporary)


def _require_one_series(slices: Sequence[Path], sources: Sequence[Any], path: Path) -> None:
    """Refuse slices that a Segmentation can't refer to."""
    for file, tags in zip(slices, sources, strict=True):
        if missing := [name for name in REQUIRED if not tags.get(name)]:
            raise InputError(
                f"can't write {path.name}: {file.name} has no {', '.join(missing)}",
                "use the NIfTI mask, or export the scan with its UIDs",
            )
    for name in SHARED:
        if (count := len({str(tags.get(name)) for tags in sources})) > 1:
            raise InputError(
                f"can't write {path.name}: its slices have {count} values of {name}",
                "use the NIfTI mask, or export the scan as one series",
            )


def read_dicom_seg(path: Path) -> Segments:
    """Read a DICOM Segmentation.

    Returns:
        its segments with their names and SNOMED CT codes, on the lattice of the slices they were drawn on, as far as
        these reach.

    Raises:
        InputError: highdicom is missing, or the file can't be read as such.
    """
    highdicom = _highdicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = highdicom.seg.segread(path)
            numbers = [int(number) for number in found.segment_numbers]
            volume = found.get_volume(segment_numbers=numbers)
    except Exception as error:  # highdicom and pydicom raise whatever they met
        said = " ".join(str(error).split())
        raise InputError(f"can't read {path} as DICOM Segmentation ({said:.200})", "export it again") from error
    inside = volume.array.reshape(*volume.array.shape[:3], len(numbers)) >= 0.5  # probabilities, of a fractional one
    masks = ((number, inside[..., place]) for place, number in enumerate(numbers))
    labels, shared = stacked(masks, inside.shape[:3], "segments")
    names = {}
    for number in numbers:
        description = found.get_segment_description(number)
        kind = description.segmented_property_type
        code = str(kind.value) if kind.scheme_designator == "SCT" and kind.value != ANATOMY[0] else ""
        names[number] = OrganName(str(description.segment_label).strip() or f"segment {number}", code)
    return Segments(_lattice(volume.affine, labels), names, tuple(f"{path}: {remark}" for remark in shared))


def _lattice(affine: npt.NDArray[np.float64], array_zyx: Array) -> Volume:
    """A label map by highdicom's matrix, from (slice, row, column) to mm, LPS."""
    axes = affine[:3, :3][:, ::-1]  # x, y, z
    spacing = np.linalg.norm(axes, axis=0)
    x, y, z = spacing.tolist()
    return Volume(array_zyx, (x, y, z), tuple(affine[:3, 3].tolist()), axes / spacing)


def _description(highdicom: Any, number: int, organ: OrganName) -> Any:
    category = highdicom.sr.CodedConcept(*ANATOMY)
    kind = highdicom.sr.CodedConcept(organ.snomed, "SCT", organ.name[:64]) if organ.snomed else category
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=MADE_BY,
        version=version("psmnet"),
        family=highdicom.sr.CodedConcept("123110", "DCM", "Artificial Intelligence"),
    )
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=organ.name[:64],  # a DICOM LO holds no more
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="SEMIAUTOMATIC",
        algorithm_identification=algorithm,
    )


def _highdicom() -> Any:
    """highdicom and its parts; Any because it is an extra.

    Raises:
        InputError: it is not installed.
    """
    try:
        for part in ("seg", "sr"):
            importlib.import_module(f"highdicom.{part}")
        return importlib.import_module("highdicom")
    except ImportError as error:
        raise InputError("DICOM Segmentation needs highdicom, which is missing", how_to_install("dicom")) from error
