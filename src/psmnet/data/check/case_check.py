"""One case of a normalised folder: what it is, and what is wrong with it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from psmnet.catalog import DataSet
from psmnet.data import Case
from psmnet.data.check.anatomy import Borders, air_level, borders, misplaced, share_in_air
from psmnet.data.prepare import LAS
from psmnet.errors import PsmnetError
from psmnet.io import read_labels, read_volume
from psmnet.system import sha256_of
from psmnet.volume import Array, Volume, axis_letters

Level = Literal["error", "warning"]

DIFFERENCE = 0.01  # of a spacing: rounding is far below it, another protocol far above
LARGEST_SHARE_IN_AIR = 0.3
LISTED = 5  # of many values or ids
AGAIN = "run psmnet prepare again"
COMPARE = "compare it with the original"


@dataclass(frozen=True)
class Finding:
    """One problem that was found.

    Attributes:
        case_id: None for the folder as a whole.
        level: error or warning.
        what: what is wrong, with the value.
        remedy: what to do.
        error: that was found, if it was one.
    """

    case_id: str | None
    level: Level
    what: str
    remedy: str
    error: PsmnetError | None = field(default=None, compare=False)

    def worded(self, remedies: Mapping[str, str]) -> str:
        """The finding as one line, with the remedy that stands under its error's code, if one does."""
        where = "" if self.case_id is None else f"case {self.case_id}: "
        remedy = self.error.remedy_in(remedies) if self.error else self.remedy
        return f"{self.level}: {where}{self.what}; {remedy}"

    def __str__(self) -> str:
        return self.worded({})


@dataclass
class CaseRecord:
    """What is known about a case.

    Attributes:
        id: of the case.
        labelled: whether it has a label map.
        size_xyz, spacing_mm, axes: of the image; None and empty where it can't be read.
        voxels: label value to count.
        image_sha256, label_sha256: checksums of the files; empty if not requested.
        image_voxels, label_voxels: SHA-256 of the voxels; empty for empty or unreadable files.
        borders: whether the labels follow the image; None if that can't be measured.
        findings: problems of this case.
    """

    id: str
    labelled: bool
    size_xyz: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    axes: str = ""
    voxels: dict[int, int] = field(default_factory=dict)
    image_sha256: str = ""
    label_sha256: str = ""
    image_voxels: str = ""
    label_voxels: str = ""
    borders: Borders | None = None
    findings: list[Finding] = field(default_factory=list)

    def add(self, level: Level, what: str, remedy: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(self.id, level, what, remedy))

    def add_error(self, error: PsmnetError, folder: Path) -> None:
        """Add a reader's error, without the folder's path."""
        what = error.what.replace(f"{folder}/", "")
        self.findings.append(Finding(self.id, "error", what, error.remedy, error))


def look_at(case: Case, *, facts: DataSet, names: Mapping[str, int], with_files: bool) -> CaseRecord:
    """Read a case and check what does not depend on other cases.

    Args:
        case: of the folder.
        facts: of the data set.
        names: organ name to label value, from the data set or `dataset.json`; empty if unknown.
        with_files: whether to compute checksums of the files.
    """
    record = CaseRecord(case.id, case.label_path.exists())
    if with_files:
        record.image_sha256 = sha256_of(case.image_path)
        record.label_sha256 = sha256_of(case.label_path) if record.labelled else ""
    image = labels = None
    notes: list[str] = []
    try:
        image = read_volume(case.image_path, notes=notes)
    except PsmnetError as error:
        record.add_error(error, case.image_path.parent)
    if record.labelled:
        try:
            labels = read_labels(case.label_path, notes=notes)
        except PsmnetError as error:
            record.add_error(error, case.label_path.parent)
    elif facts.labels:
        record.add("error", f"{case.label_path.name} is missing", f"add it: {facts.title} is labelled")
    for note in notes:
        note = note.replace(str(case.image_path), "the image").replace(str(case.label_path), "the label map")
        record.add("warning", note, COMPARE)
    if labels is not None:
        _look_at_values(record, labels.array_zyx, facts, names)
    if image is not None:
        _look_at_image(record, image, facts)
        if labels is not None:
            try:
                labels = case.labels(image)
            except PsmnetError as error:
                record.add("error", error.what, f"fix the wrong header, or {AGAIN}")
                labels = None
        _look_at_orientation(record, image, labels, facts, names)
        if labels is not None and record.voxels and record.image_voxels:
            _look_at_pair(record, image, labels.array_zyx, facts)
    return record


def _look_at_image(record: CaseRecord, image: Volume, facts: DataSet) -> None:
    record.size_xyz, record.spacing_mm = image.size_xyz, image.spacing_mm
    record.axes = axis_letters(image.direction)
    columns, rows, slices = image.size_xyz
    accepted = {facts.size_px, 257} if facts.size_px == 256 else {facts.size_px}  # 257: published notebooks
    if facts.size_px is not None and (rows != columns or rows not in accepted):
        what = f"slices of {columns} x {rows} where {facts.title} has {facts.size_px} x {facts.size_px}"
        record.add("warning", what, AGAIN)
    if facts.spacing_mm is not None and differ(image.spacing_mm, facts.spacing_mm):
        what = f"spacing {by(image.spacing_mm)} mm where {facts.title} has {by(facts.spacing_mm)} mm"
        record.add("warning", what, AGAIN)
    if facts.slices is not None and not facts.slices[0] <= slices <= facts.slices[1]:
        what = f"{slices} slices where {facts.title} has {facts.slices[0]} to {facts.slices[1]}"
        record.add("warning", what, COMPARE)
    flat = np.ptp(image.array_zyx.reshape(slices, -1), axis=1) == 0
    if flat.all():
        record.add(
            "error", f"the image is empty: no slice holds another value than {image.array_zyx[0, 0, 0]:g}", AGAIN
        )
        return
    record.image_voxels = _hash(image.array_zyx.astype(np.float32))
    filled = np.flatnonzero(~flat)
    # At the ends they are padding, such as the extra slice of published preprocessing.
    if gaps := int(flat[filled[0] : filled[-1]].sum()):
        record.add("warning", f"{gaps} slices inside the image are empty", COMPARE)


def _look_at_values(record: CaseRecord, labels_zyx: Array, facts: DataSet, names: Mapping[str, int]) -> None:
    values, counts = np.unique(labels_zyx, return_counts=True)
    record.voxels = {int(value): int(count) for value, count in zip(values, counts, strict=True) if value}
    if not record.voxels:
        # Of one's own scans, one without a lesion is a case, too; every patient of a data set has organs.
        record.add("error" if facts.labels else "warning", "the label map is empty", "export it again, or remove it")
        return
    record.label_voxels = _hash(labels_zyx.astype(np.int32))
    unknown = [str(value) for value in record.voxels if value not in names.values()]
    if unknown and names:
        known = ", ".join(f"{value} {name}" for name, value in names.items())
        what = f"the label map holds {some(unknown)}, which is no organ's value ({known})"
        record.add("error" if facts.labels else "warning", what, "map the values to these, or remove them")
    if absent := [name for name in facts.tested if facts.labels[name] not in record.voxels]:
        record.add("warning", f"no {', no '.join(absent)} in the label map", "see whether the scan shows it")


def _look_at_orientation(
    record: CaseRecord, image: Volume, labels: Volume | None, facts: DataSet, names: Mapping[str, int]
) -> None:
    """Compare header, organs and the data set's stored axes."""
    wrong = [] if labels is None else misplaced(labels, names)
    other_axes = facts.las_order and record.axes != "LAS"
    if wrong and labels is not None and other_axes and np.allclose(image.direction, np.eye(3), atol=1e-6):
        in_las = Volume(labels.array_zyx, labels.spacing_mm, labels.origin_mm, LAS)
        if not misplaced(in_las, names):  # published SABS files
            what = "the header is false: it says identity (LPS), but the organs lie as in an array of LAS order"
            record.add("warning", what, "prepare the raw data with psmnet prepare, which writes the true one")
            return
    if other_axes:
        record.add("warning", f"stored axes run {record.axes} where {facts.title} has LAS", AGAIN)
    if wrong:
        remedy = "see whether header, label values or the patient are the other way round"
        record.add("warning", f"by the header, {', '.join(wrong)}", remedy)


def _look_at_pair(record: CaseRecord, image: Volume, labels_zyx: Array, facts: DataSet) -> None:
    """See whether the labels can be this image's; those of a patient built alike, on the same grid, may pass."""
    level = air_level(image.array_zyx, facts.body_threshold)
    share = share_in_air(image.array_zyx, labels_zyx, level)
    if share > LARGEST_SHARE_IN_AIR:
        what = f"{share:.0%} of its labelled voxels lie in air (intensity {level:.4g} or less)"
        record.add("warning", what, "see whether the label map is another case's")
    else:
        record.borders = borders(image, labels_zyx)


def differ(spacing_mm: Sequence[float], wanted: Sequence[float | None]) -> bool:
    """Whether a spacing is another than wanted along any axis, by more than 1 %; None wants nothing."""
    pairs = zip(spacing_mm, wanted, strict=True)
    return any(step is not None and abs(given - step) > DIFFERENCE * step for given, step in pairs)


def by(numbers: Sequence[float | None]) -> str:
    """As in 256 x 256."""
    return " x ".join("any" if number is None else f"{number:.4g}" for number in numbers)


def some(items: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more


def _hash(array: Array) -> str:
    found = hashlib.sha256(str(array.shape).encode())
    found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
