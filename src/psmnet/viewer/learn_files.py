"""Files of a learning in its job's folder. Files of a scan begin with the scan's id."""

import html
import shutil
from collections.abc import Mapping
from pathlib import Path

from psmnet.cohort import CohortReport, LearnRecord, Outputs
from psmnet.system import write_text

ENDING = "nii.gz"
NETWORK, REPORT = "weights.safetensors", "report.html"
RECORD, MASKS, FIRST, WORK, SUPPORTS = "learn.json", "masks", "first", "work", "supports"


def network_files(out: Path) -> dict[str, Path]:
    """Files of a learning as a whole by their names in the API, whether they exist or not."""
    return {NETWORK: out / NETWORK, REPORT: out / REPORT}


def scan_files(out: Path, scan: str) -> dict[str, Path]:
    """Files of one scan by their names in the API, whether they exist or not."""
    final, first = Outputs(out / MASKS, scan, ENDING), Outputs(out / FIRST, scan, ENDING)
    return {"mask.nii.gz": final.mask, "first.nii.gz": first.mask, "mask.dcm": final.dicom}


def read_record(out: Path) -> LearnRecord:
    """What the learning found of each scan."""
    return LearnRecord.read(out / RECORD)


def read_masks_report(out: Path) -> CohortReport:
    """Volumes, confidence and flags of the masks."""
    return CohortReport.read(out / MASKS / "report.json")


def name_scans(out: Path, names: Mapping[str, str]) -> None:
    """Write the users' names in place of the ids into the report, if there is one."""
    path = out / REPORT
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    for scan, name in names.items():
        text = text.replace(scan, html.escape(name))
    write_text(path, text)


def drop_unused(out: Path) -> None:
    """Delete what the page offers to nobody; all of it holds or names images."""
    for name in (WORK, SUPPORTS):
        shutil.rmtree(out / name, ignore_errors=True)
    for path in (out / MASKS).glob("*_overlay.png"):
        path.unlink(missing_ok=True)
    (out / MASKS / "contact_sheet.html").unlink(missing_ok=True)


def drop_scan(out: Path, scan: str) -> None:
    """Delete what is left of a scan: its masks, and the report with its pictures."""
    for folder in (MASKS, FIRST):
        for path in (out / folder).glob(f"{scan}_*"):
            path.unlink(missing_ok=True)
    (out / REPORT).unlink(missing_ok=True)
    drop_unused(out)
