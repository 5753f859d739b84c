"""Summary of a cohort: report.json, summary.csv and a contact sheet, in the folder of the masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from psmnet import runtime
from psmnet.cohort.job import CohortJob, Loaded
from psmnet.cohort.quality import flags
from psmnet.cohort.records import CohortReport, FailedScan, ReportedScan, SegmentedScan, SkippedFile
from psmnet.cohort.worker import failure
from psmnet.errors import PsmnetError
from psmnet.io import Query, Skipped, without_folder
from psmnet.report import Card, PageTable, Value, csv_text, write_contact_sheet
from psmnet.segmentation import method_name
from psmnet.system import counted, write_text

REPORT_NAME = "report.json"
TABLE_NAME, SHEET_NAME = "summary.csv", "contact_sheet.html"
COLUMNS = ("scan", "organ", "label", "volume_ml", "confidence", "flags", "mask", "failed")
Flags = dict[str, dict[str, list[str]]]

INTRO = (
    "Flagged scans come first, then those with the lowest confidence. Flags: not found; unsure (low mean probability); "
    "cut off (the organ reaches the first or last slice of the scan, but not of a support); unusual volume (compared "
    "with the other scans, if there are at least eight). A scan without a flag can be wrong, too."
)


@dataclass(frozen=True)
class Cohort:
    """Results of all queries.

    Attributes:
        entries: queries that were segmented, in their order.
        failed: the other queries, and why.
        skipped: files that are not queries.
        kept: number of entries that an earlier run made.
        seconds: duration of the run.
    """

    entries: Sequence[SegmentedScan]
    failed: Sequence[tuple[Query, PsmnetError]]
    skipped: Sequence[Skipped]
    kept: int
    seconds: float

    @cached_property
    def flags(self) -> Flags:
        """Scan name to organ name to flags."""
        return flags(self.entries)

    def ranked(self) -> list[SegmentedScan]:
        """Entries in the order in which to check them: most flags first, then lowest confidence."""

        def doubt(entry: SegmentedScan) -> tuple[int, float]:
            return -sum(len(organ) for organ in self.flags[entry.name].values()), entry.confidence

        return sorted(self.entries, key=doubt)


def write_summary(job: CohortJob, loaded: Loaded, cohort: Cohort) -> None:
    """Write the report, the table and the page.

    Raises:
        InputError: one can't be written.
    """
    failures = [failure(query, error, job.anonymise) for query, error in cohort.failed]
    _report(job, loaded, cohort, failures).write(job.out / REPORT_NAME)
    write_text(job.out / TABLE_NAME, csv_text([COLUMNS, *_rows(cohort, failures)]))
    _write_sheet(job, cohort, failures)


def notes_of(job: CohortJob, loaded: Loaded) -> list[str]:
    """Remarks on the supports, without their file names if the job is anonymous."""
    notes = list(loaded.notes)
    if job.anonymise:
        for number, pair in enumerate(job.supports, 1):
            for path in pair:
                notes = [without_folder(note, path).replace(path.name, f"support {number}") for note in notes]
    return notes


def _report(job: CohortJob, loaded: Loaded, cohort: Cohort, failures: Sequence[FailedScan]) -> CohortReport:
    supports = [
        {"image": f"support {n}", "labels": f"support {n}"}
        if job.anonymise
        else {"image": image.name, "labels": mask.name}
        for n, (image, mask) in enumerate(job.supports, 1)
    ]
    skipped = [] if job.anonymise else cohort.skipped
    return CohortReport(
        supports=supports,
        labels={value: organ.name for value, organ in loaded.called.items()},
        queries=[ReportedScan(**entry.model_dump(), flags=cohort.flags[entry.name]) for entry in cohort.entries],
        failed=list(failures),
        skipped=[SkippedFile(file=skip.path.name, reason=skip.reason) for skip in skipped],
        notes=notes_of(job, loaded),
        method=method_name(loaded.method),
        weights_sha256=loaded.weights_sha256,
        settings_sha256=job.key,
        versions=runtime.versions(),
        seconds=round(cohort.seconds, 3),
    )


def _rows(cohort: Cohort, failures: Sequence[FailedScan]) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for entry in cohort.entries:
        for organ, facts in entry.labels.items():
            flagged = "; ".join(cohort.flags[entry.name][organ])
            figures = (facts.value, facts.volume_ml, facts.confidence)
            rows.append([entry.name, organ, *figures, flagged, entry.mask, ""])
    return rows + [[one.name, "", "", "", "", "", "", one.reason] for one in failures]


def _write_sheet(job: CohortJob, cohort: Cohort, failures: Sequence[FailedScan]) -> None:
    flagged = sum(any(cohort.flags[entry.name].values()) for entry in cohort.entries)
    count = len(cohort.entries)
    tables = [_organ_table(cohort)] if cohort.entries else []
    if failures:
        tables.append(PageTable("Failed", ["scan", "reason"], [[one.name, one.reason] for one in failures]))
    cards = []
    for entry in cohort.ranked():
        flagged_organs = [f"{organ}: {', '.join(words)}" for organ, words in cohort.flags[entry.name].items() if words]
        volumes = ", ".join(f"{organ} {facts.volume_ml:.0f} ml" for organ, facts in entry.labels.items())
        cards.append(Card(entry.name, job.out / entry.overlay, tuple(flagged_organs), volumes))
    write_contact_sheet(
        job.out / SHEET_NAME,
        title=f"{counted(count, 'scan')}, {flagged} to check" + f", {len(failures)} failed" * bool(failures),
        intro=INTRO,
        tables=tables,
        cards=cards,
    )


def _organ_table(cohort: Cohort) -> PageTable:
    entries = cohort.entries
    rows = []
    for organ in entries[0].labels:
        volumes = [entry.labels[organ].volume_ml for entry in entries]
        there = [volume for volume in volumes if volume > 0]
        spread = [f"{np.median(there):.1f}", f"{min(there):.1f}", f"{max(there):.1f}"] if there else ["-"] * 3
        flagged = sum(bool(cohort.flags[entry.name][organ]) for entry in entries)
        rows.append([organ, str(len(there)), *spread, str(flagged)])
    columns = ["organ", "found in", "median ml", "min ml", "max ml", "flagged"]
    return PageTable("Organs", columns, rows)
