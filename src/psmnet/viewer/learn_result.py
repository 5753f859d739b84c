"""A learning's result as the API gives it."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from psmnet.cohort import CohortReport, JudgedOrgan, JudgedScan, LearnedCohort, SegmentedOrgan, SegmentedScan, quality
from psmnet.io import read_labels
from psmnet.report import css_colour
from psmnet.viewer.learn_files import network_files, read_masks_report, scan_files

FoundOrgan = dict[str, Any]


COPY = "it is a copy of a labelled scan"


def learn_result(out: Path, scans: Collection[str], learned: LearnedCohort, seconds: float) -> dict[str, Any]:
    """What the page shows of a learning: its scans in the order in which a correction would help most.

    Args:
        out: the job's folder.
        scans: ids of all unlabelled scans.
        learned: what was learned.
        seconds: that it took.
    """
    record, report = learned.record, read_masks_report(out)
    final = final_organs(report)
    judged = [scan for scan in record.to_correct() if scan.name in final]
    first = first_organs(out, judged, {name: value for value, name in record.labels.items()})
    entries = []
    for scan in judged:
        organ, why = reason(scan)
        entries.append(
            {
                "scan": scan.name,
                "organs": final[scan.name],
                "first": first[scan.name],
                "doubt": round(scan.doubt, 4),
                "least_sure": next(o["value"] for o in final[scan.name] if o["name"] == organ),
                "why": why,
                "notes": next(entry.notes for entry in report.queries if entry.name == scan.name),
                "files": [name for name, path in scan_files(out, scan.name).items() if path.exists()],
            }
        )
    failed = {one.name: one.reason for one in (*report.failed, *record.failed)}
    copies = {name: COPY for name in scans if name not in failed and name not in final}
    left_out = failed | copies
    return {
        "scans": entries,
        "left_out": [{"scan": name, "reason": why} for name, why in left_out.items()],
        "notes": record.notes,
        "seconds": seconds,
        "files": [name for name, path in network_files(out).items() if path.exists()],
    }


def final_organs(report: CohortReport) -> dict[str, list[FoundOrgan]]:
    """Organs of the learned masks, by scan."""
    return {entry.name: _organs(entry, entry.flags) for entry in report.queries}


def first_organs(out: Path, scans: Sequence[JudgedScan], values: Mapping[str, int]) -> dict[str, list[FoundOrgan]]:
    """Organs of the first masks, by scan."""
    entries = []
    for scan in scans:
        path = scan_files(out, scan.name)["first.nii.gz"]
        mask = read_labels(path)
        counts = np.bincount(mask.array_zyx.ravel(), minlength=1 + max(values.values()))
        voxel_ml = float(np.prod(mask.spacing_mm)) / 1000
        organs = {
            name: SegmentedOrgan(
                value=values[name],
                volume_ml=round(float(counts[values[name]]) * voxel_ml, 3),
                confidence=round(organ.first, 4),
            )
            for name, organ in scan.organs.items()
        }
        lowest = min(organ.confidence for organ in organs.values())
        entries.append(SegmentedScan(query="", name=scan.name, mask="", overlay="", confidence=lowest, labels=organs))
    flags = quality.flags(entries)
    return {entry.name: _organs(entry, flags[entry.name]) for entry in entries}


def reason(scan: JudgedScan) -> tuple[str, str]:
    """The organ by which a scan most needs a correction, and a sentence on why."""
    name, organ = max(scan.organs.items(), key=lambda one: one[1].doubt)
    return name, _why(name.replace("_", " "), organ)


def _why(name: str, organ: JudgedOrgan) -> str:
    overlap = organ.vote_student
    if organ.final == 0:
        return f"Hardly any {name} was found in it."
    if overlap is not None and overlap < organ.final:
        return f"Vote and network differ most in its {name}: their masks overlap by {_percent(overlap)}."
    return f"The mask of its {name} is the least sure one: confidence {_percent(organ.final)}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _organs(entry: SegmentedScan, flags: Mapping[str, list[str]]) -> list[FoundOrgan]:
    return [
        {
            "value": organ.value,
            "name": name,
            "colour": css_colour(organ.value),
            "volume_ml": organ.volume_ml,
            "confidence": organ.confidence,
            "flags": flags[name],
            "metrics": None,
        }
        for name, organ in entry.labels.items()
    ]
