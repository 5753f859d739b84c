"""Volumes and shapes of the organs in many masks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from psmnet.cohort.records import CohortReport
from psmnet.cohort.summary import REPORT_NAME
from psmnet.errors import InputError, PsmnetError
from psmnet.io import has_scan_suffix, is_label_map, is_segmentation, read_label_file, stem, unnamed
from psmnet.report import Value
from psmnet.volume import measure

MEASURES = (
    *("mask", "label", "organ", "volume_ml", "surface_cm2", "sphericity"),
    *("extent_x_mm", "extent_y_mm", "extent_z_mm", "parts", "slices"),
)
"""Columns of a row of measures."""


def measure_masks(
    masks: Sequence[Path],
    names: Mapping[int, str] | None = None,
    report: Callable[[int, str, int], None] = lambda done, name, total: None,
) -> tuple[list[list[Value]], dict[str, PsmnetError]]:
    """Measure every label of every mask.

    Args:
        masks: label maps, .seg.nrrd files, DICOM Segmentations, or folders. Of a folder, the files named like masks
            are measured; if there are none, all files are, and a file with one label is named after its organ.
        names: organ of each label value; None for those in the file or in the report of `segment_cohort` beside it.
        report: called with the number of measured masks, the name of the last one, and the number of all.

    Returns:
        A row of MEASURES per label, and the errors of masks that can't be read, by file name.

    Raises:
        InputError: a folder without masks.
    """
    rows: list[list[Value]] = []
    failed: dict[str, PsmnetError] = {}
    found = _find(masks)
    for done, (path, is_of_one_organ) in enumerate(found.items(), 1):
        try:
            rows += _measured(path, names, is_of_one_organ)
        except PsmnetError as error:
            failed[path.name] = error
        report(done, path.name, len(found))
    return rows, failed


def _find(masks: Sequence[Path]) -> dict[Path, bool]:
    """Masks, and whether each shows one organ after which it is named."""
    found: dict[Path, bool] = {}
    for path in masks:
        if not path.is_dir():
            found[path] = False
            continue
        scans = sorted(p for p in path.rglob("*") if has_scan_suffix(p) and not p.name.startswith("."))
        inside = [p for p in scans if is_segmentation(p) or is_label_map(p)]
        if not scans:
            raise InputError(f"no mask in {path}", "give masks, or a folder of files named <name>_seg.nii.gz")
        found |= dict.fromkeys(inside or scans, not inside)
    return found


def _measured(path: Path, names: Mapping[int, str] | None, is_of_one_organ: bool) -> list[list[Value]]:
    read = read_label_file(path)
    labels = read.volume
    values = [int(v) for v in np.unique(labels.array_zyx) if v]
    if names is None:
        names = _names_beside(path) | {value: organ.name for value, organ in read.names.items()}
        if is_of_one_organ and len(values) == 1:
            names = {values[0]: stem(path)}
    rows: list[list[Value]] = []
    for value in values:
        shape = measure(labels.array_zyx == value, labels.spacing_mm)
        figures = (shape.volume_ml, shape.surface_cm2, shape.sphericity, *shape.extent_mm)
        organ = names.get(value, unnamed(value).name)
        rows.append([path.name, value, organ, *(round(figure, 4) for figure in figures), shape.parts, shape.slices])
    return rows


def _names_beside(path: Path) -> dict[int, str]:
    """Names in the report that `segment_cohort` wrote beside a mask."""
    report = CohortReport.find(path.parent / REPORT_NAME)
    return report.labels if report else {}
