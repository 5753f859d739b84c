"""Writes segmented scans with their masks as an nnU-Net v2 data set, to train nnU-Net on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from psmnet.cohort import REPORT_NAME, CohortReport, ScanRecord
from psmnet.data import DATASET_NAME
from psmnet.errors import InputError, PsmnetError
from psmnet.export.nnunet import CHANNELS, renumbered, require_own_dataset
from psmnet.io import OrganName, Query, checksum, read_labels, read_scan, write_volume
from psmnet.segmentation import is_ct, read_supports
from psmnet.system import map_cases, write_json
from psmnet.volume import Volume, align_labels

MASKS = "masks"  # folder of a learning that holds its masks, and what the data set is made from


@dataclass(frozen=True)
class _Case:
    """A scan and its mask."""

    id: str
    scan: Path
    mask: Path


def is_masks_folder(folder: Path) -> bool:
    """Whether a folder holds masks with their report, or is that of a learning."""
    return any(CohortReport.find(place / REPORT_NAME) for place in (folder, folder / MASKS))


def export_masks(
    folder: Path,
    scans: Sequence[Query],
    out: Path,
    *,
    supports: Sequence[tuple[Path, Path]] = (),
    series: Sequence[str] = (),
    jobs: int = 1,
    report: Callable[[int, str, int], None] = lambda done, case_id, total: None,
) -> dict[str, PsmnetError]:
    """Write `imagesTr`, `labelsTr` and `dataset.json` from masks, as they are now: corrected ones as corrected.

    Label values become 1, 2, ..., as nnU-Net requires; `dataset.json` holds the original values.

    Args:
        folder: with masks and their report, or of a learning.
        scans: the scans that were segmented, found again by their checksums whatever their names; others are left out.
        out: folder, which nnU-Net requires to be named `DatasetNNN_Name`; the cases of an earlier export are removed.
        supports: image and labels of labelled scans, which become cases, too.
        series: SeriesInstanceUIDs to read from DICOM folders.
        jobs: number of processes.
        report: called with (done, case id, total).

    Returns:
        errors of masks that could not be exported, by name; `dataset.json` counts the others.

    Raises:
        ConfigError: `out` holds another data set.
        InputError: there are no masks with a report, or a labelled scan can't be used.
    """
    folder = folder if (folder / REPORT_NAME).exists() else folder / MASKS
    summary = CohortReport.read(folder / REPORT_NAME)
    named = {value: OrganName(name) for value, name in summary.labels.items()}
    new_values = {value: number for number, value in enumerate(sorted(named), start=1)}
    labelled = read_supports(supports, names=named, series=series).pairs if supports else ()
    require_own_dataset(out, MASKS)
    if (out / DATASET_NAME).exists():  # nnU-Net takes every file there, also of cases that are no longer exported
        for earlier in (*(out / "imagesTr").glob("*.nii.gz"), *(out / "labelsTr").glob("*.nii.gz")):
            earlier.unlink()
    by_checksum = {checksum(scan.path): scan.path for scan in scans}
    cases, failed = [], dict[str, PsmnetError]()
    for entry in summary.queries:
        for path in _files(out, entry.name):
            path.unlink(missing_ok=True)  # of an export that was killed: the case may fail now
        record = ScanRecord.read(folder / f"{entry.name}_seg.json")
        if record.scan_sha256 in by_checksum:
            cases.append(_Case(entry.name, by_checksum[record.scan_sha256], folder / entry.mask))
        else:
            failed[entry.name] = InputError(f"the scan of {entry.mask} is not among the scans given", "give it, too")
    kinds = set()
    for number, (image, labels) in enumerate(labelled, start=1):
        _write(out, f"support_{number}", image, renumbered(labels, new_values))
        kinds.add(is_ct(image.array_zyx))
    work = partial(_export_case, out=out, new_values=new_values, series=tuple(series))
    for done, (case, result) in enumerate(map_cases(work, cases, jobs), start=1):
        if isinstance(result, PsmnetError):
            failed[case.id] = result
        else:
            kinds.add(result)
        report(done, case.id, len(cases))
    content = {
        "name": out.name,
        "exported_from": MASKS,
        "description": "masks by psmnet, not drawn by hand, except those of cases support_*",
        "channel_names": {"0": CHANNELS["ct"] if kinds == {True} else "scan"},
        "labels": {"background": 0} | {named[value].name: new for value, new in new_values.items()},
        "label_values_before": {named[value].name: value for value in new_values},
        "numTraining": len(labelled) + sum(case.id not in failed for case in cases),
        "file_ending": ".nii.gz",
    }
    write_json(out / DATASET_NAME, content)
    return failed


def _export_case(case: _Case, *, out: Path, new_values: dict[int, int], series: tuple[str, ...]) -> bool:
    """Write one case; returns whether it is CT."""
    scan = read_scan(case.scan, series=series).volume
    mask = align_labels(scan, read_labels(case.mask), image_name=case.scan.name, labels_name=case.mask.name)
    _write(out, case.id, scan, renumbered(mask, new_values))
    return is_ct(scan.array_zyx)


def _files(out: Path, name: str) -> tuple[Path, Path]:
    return out / "imagesTr" / f"{name}_0000.nii.gz", out / "labelsTr" / f"{name}.nii.gz"


def _write(out: Path, name: str, image: Volume, labels: Volume) -> None:
    image_path, labels_path = _files(out, name)
    write_volume(image, image_path)
    write_volume(labels, labels_path)
