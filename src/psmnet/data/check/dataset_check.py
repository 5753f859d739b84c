"""What is wrong with a folder in the normalised layout.

An error is what training or evaluation would refuse, or would silently turn into wrong numbers; a warning is what
somebody should look at. Labels are compared with their image (`data.anatomy`), so that most swapped or mirrored label
maps show; a swap between two patients who are built alike, on the same grid, can't be seen.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from psmnet.catalog import DataSet, dataset
from psmnet.data import DATASET_NAME, DatasetFile, find_cases, read_dataset_file
from psmnet.data.check.case_check import AGAIN, CaseRecord, Finding, Level, by, differ, look_at, some
from psmnet.errors import InputError, PsmnetError
from psmnet.io import has_nifti_suffix
from psmnet.system import TEMPORARY_PREFIX, counted, map_cases


@dataclass(frozen=True)
class Report:
    """Result of `check_dataset`.

    Attributes:
        dataset: name in the catalog.
        cases: those that have an image, sorted.
        findings: of the folder first, then case by case, errors before warnings.
        prepared: what `dataset.json` says; None without one.
    """

    dataset: str
    cases: tuple[CaseRecord, ...]
    findings: tuple[Finding, ...]
    prepared: DatasetFile | None = None

    def count(self, level: Level) -> int:
        """Number of findings of a level."""
        return sum(finding.level == level for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """2 with errors, 1 with warnings only, else 0."""
        return 2 if self.count("error") else 1 if self.findings else 0

    def summary(self) -> str:
        """One line of counts."""
        labelled = sum(case.labelled for case in self.cases)
        slices = sum(case.size_xyz[2] for case in self.cases if case.size_xyz)
        found = ", ".join(counted(self.count(level), level) for level in get_args(Level))
        cases = f"{counted(len(self.cases), 'case')}, {labelled} labelled, {counted(slices, 'slice')}"
        return f"{self.dataset}: {cases}; {found}"


def check_dataset(
    folder: Path,
    dataset_name: str | None = None,
    *,
    jobs: int = 1,
    report: Callable[[int, str, int], None] = lambda done, case_id, total: None,
) -> Report:
    """Look at every case of a folder, at all of them together, and at what `dataset.json` says of them.

    Args:
        folder: in the normalised layout.
        dataset_name: in the catalog; None for what `dataset.json` says, or else `folder`.
        jobs: processes.
        report: called with (done, case id, total) after each case.

    Raises:
        InputError: the folder is missing, holds no image, or two images of one case.
        ConfigError: no such data set.
    """
    cases = find_cases(folder)
    found: list[Finding] = []
    prepared = None
    try:
        prepared = read_dataset_file(folder)
    except InputError as error:
        found.append(
            Finding(None, "error", f"{DATASET_NAME} is damaged: files can't be compared with it", error.remedy)
        )
    name = dataset_name or (prepared.dataset if prepared else "folder")
    facts = dataset(name)
    names = dict(facts.labels) or (prepared.labels if prepared else {})
    work = partial(look_at, facts=facts, names=names, with_files=prepared is not None)
    records: dict[str, CaseRecord] = {}
    for done, (case, result) in enumerate(map_cases(work, cases, jobs), start=1):
        if isinstance(result, PsmnetError):
            record = CaseRecord(case.id, case.label_path.exists())
            record.add_error(result, folder)
        else:
            record = result
        records[case.id] = record
        report(done, case.id, len(cases))
    ordered = [records[case.id] for case in cases]
    found += _of_the_folder(folder, ordered)
    found += _of_the_catalog(facts, ordered)
    if facts.size_px is None:  # no data set says how these scans should be
        found += _of_different_scales(ordered, prepared)
    found += _of_equal_voxels(ordered)
    found += _of_borders(ordered)
    if prepared is not None:
        found += _of_the_list(name, facts, prepared, ordered)
    found += [finding for record in ordered for finding in record.findings]
    found = _joined(found, len(cases))
    place = {None: -1} | {case.id: place for place, case in enumerate(cases)}
    found.sort(key=lambda finding: (place.get(finding.case_id, len(cases)), finding.case_id or "", finding.level))
    return Report(name, tuple(ordered), tuple(found), prepared)


def _of_the_folder(folder: Path, records: list[CaseRecord]) -> list[Finding]:
    """Files that should not be there."""
    found = []
    ids = {record.id for record in records}
    for path in sorted(filter(has_nifti_suffix, folder.glob("label_*"))):
        case_id = path.name.removeprefix("label_").removesuffix(".gz").removesuffix(".nii")
        if case_id not in ids:
            found.append(Finding(case_id, "error", f"{path.name} has no image", f"add it, or {AGAIN}"))
    if leftovers := sorted(path.name for path in folder.glob(f"{TEMPORARY_PREFIX}*")):
        what = f"{some(leftovers)}: left behind by a run that was killed"
        found.append(Finding(None, "warning", what, f"{AGAIN}, or remove it"))
    return found


def _of_the_catalog(facts: DataSet, records: list[CaseRecord]) -> list[Finding]:
    """Whether the data set is complete."""
    ids = [record.id for record in records]
    missing = [case_id for case_id in facts.case_ids if case_id not in ids]
    others = [case_id for case_id in ids if facts.case_ids and case_id not in facts.case_ids]
    if facts.cases is None or (len(ids) == facts.cases and not missing):
        return []
    named = [f"{what}: {', '.join(which)}" for what, which in (("missing", missing), ("not of it", others)) if which]
    what = f"{len(ids)} cases where {facts.title} has {facts.cases}" + (f" ({'; '.join(named)})" if named else "")
    return [Finding(None, "warning", what, "the published folds need exactly these cases: prepare the whole data set")]


def _of_different_scales(records: list[CaseRecord], prepared: DatasetFile | None) -> list[Finding]:
    """Own scans are compared pixel by pixel, so they must be alike among themselves."""
    spacings = {record.id: record.spacing_mm for record in records if record.spacing_mm}
    sizes = {record.id: by(record.size_xyz[:2]) for record in records if record.size_xyz}
    axes = {record.id: record.axes for record in records if record.axes}
    if not spacings:
        return []
    found = []
    remedy = "bring them to one with psmnet prepare folder"
    middle = np.median(list(spacings.values()), axis=0).tolist()
    asked = prepared.constants.get("spacing_mm") if prepared else None
    wanted = [*middle[:2], None if asked and asked[2] is None else middle[2]]  # prepared so as to keep their slices
    if odd := [f"{case_id} ({by(spacing)})" for case_id, spacing in spacings.items() if differ(spacing, wanted)]:
        what = f"{len(odd)} of {len(spacings)} cases differ by more than 1 % from the median spacing {by(middle)} mm"
        found.append(Finding(None, "warning", f"{what}: {some(odd)}", remedy))
    for kind, of in (("slices of {} pixels", sizes), ("stored axes {}", axes)):
        usual, _ = Counter(of.values()).most_common(1)[0]
        if odd := [f"{case_id} ({value})" for case_id, value in of.items() if value != usual]:
            what = f"{len(odd)} of {len(of)} cases have other than {kind.format(usual)}: {some(odd)}"
            found.append(Finding(None, "warning", what, remedy))
    return found


def _of_equal_voxels(records: list[CaseRecord]) -> list[Finding]:
    """A scan that is there twice would be trained on and tested; a label map that is there twice is a wrong copy."""
    found = []
    images: dict[str, CaseRecord] = {}
    labels: dict[str, CaseRecord] = {}
    for record in records:
        if record.image_voxels and (first := images.setdefault(record.image_voxels, record)) is not record:
            what = f"its image is that of case {first.id}, voxel for voxel"
            found.append(Finding(record.id, "error", what, "remove one of them, or put the right scan in its place"))
        if record.label_voxels and record.image_voxels:
            other = labels.setdefault(record.label_voxels, record)
            if other.image_voxels != record.image_voxels:
                what = f"its label map is that of case {other.id}, voxel for voxel, and their images differ"
                found.append(Finding(record.id, "warning", what, "see which of them it belongs to"))
    return found


def _of_borders(records: list[CaseRecord]) -> list[Finding]:
    """Label maps that don't follow their image; one finding if most don't: some organs have no border."""
    measured = [(record.id, record.borders) for record in records if record.borders]
    elsewhere = [(case_id, borders) for case_id, borders in measured if borders.are_elsewhere]
    remedy = "see whether it is another case's, mirrored or turned"
    if len(elsewhere) > max(2, len(measured) / 2):
        which = f"{len(elsewhere)} of {len(measured)} cases ({some([case_id for case_id, _ in elsewhere])})"
        what = f"the labels of {which} follow no borders that their images show"
        return [Finding(None, "warning", what, f"{remedy}; structures that look like what is around them do so, too")]
    return [
        Finding(
            case_id,
            "warning",
            f"its label map doesn't follow its image: steps at its borders are {borders.beside:.2f} times those beside "
            f"them, and {borders.inside:.0%} of them exceed one inside",
            remedy,
        )
        for case_id, borders in elsewhere
    ]


def _of_the_list(name: str, facts: DataSet, prepared: DatasetFile, records: list[CaseRecord]) -> list[Finding]:
    """What is no longer as `prepare` wrote it."""
    found: list[Finding] = []

    def add(case_id: str | None, level: Level, what: str, remedy: str = AGAIN) -> None:
        found.append(Finding(case_id, level, what, remedy))

    if name != prepared.dataset:
        add(None, "warning", f"{DATASET_NAME} says {prepared.dataset}, not {name}", f"check it as {prepared.dataset}")
    there = {record.id for record in records}
    for case_id in prepared.cases:
        if case_id not in there:
            add(case_id, "error", f"{DATASET_NAME} lists it, but its image is missing")
    for record in records:
        listed = prepared.cases.get(record.id)
        if listed is None:
            remedy = "prepare it with the others, or remove it"
            add(record.id, "warning", f"its image is not listed in {DATASET_NAME}", remedy)
            continue
        size = listed.size_xyz
        if record.size_xyz and size and record.size_xyz != size:
            add(record.id, "error", f"its image has {by(record.size_xyz)} voxels; prepared, it had {by(size)}")
        elif record.image_sha256 and record.image_sha256 != listed.image_sha256:
            add(record.id, "warning", "its image has changed since it was prepared")
        label_sha256 = listed.label_sha256
        if record.labelled and record.label_sha256 and record.label_sha256 != label_sha256:
            what = "its label map has changed since it was prepared"
            add(record.id, "warning", what, f"{AGAIN}, unless it was meant to")
        elif not record.labelled and label_sha256 and not facts.labels:  # else reported already
            add(record.id, "error", "its label map is missing")
    return found


def _joined(findings: list[Finding], cases: int) -> list[Finding]:
    """One finding in place of the same of every case."""
    times = Counter(replace(finding, case_id=None) for finding in findings)
    common = [finding for finding, count in times.items() if count == cases > 2]
    joined = [replace(finding, what=f"all {cases} cases: {finding.what}") for finding in common]
    return joined + [finding for finding in findings if replace(finding, case_id=None) not in common]
