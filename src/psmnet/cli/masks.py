"""What commands print of the masks of many scans."""

import re
from collections.abc import Mapping
from pathlib import Path

from psmnet.cli import console
from psmnet.cli.hints import HINTS
from psmnet.cohort import SHEET_NAME, TABLE_NAME, Cohort, failure
from psmnet.errors import InputError
from psmnet.io import OrganName, unnamed
from psmnet.system import counted


def print_masks(out: Path, cohort: Cohort, ending: str, called: Mapping[int, OrganName], *, anonymise: bool) -> None:
    """Where the masks are, remarks on scans, and which scan to look at first.

    Args:
        out: folder of the masks.
        cohort: of them.
        ending: of the files.
        called: organ names by label value.
        anonymise: name no file.
    """
    for skip in cohort.skipped:
        console.out.print(f"skipped {'a file' if anonymise else skip.path.name}: {skip.reason}")
    for entry in cohort.entries:
        for note in entry.notes:
            name = entry.query
            console.out.print(f"note: {note}" if note.startswith(f"{name}: ") else f"note: {name}: {note}")
    if cohort.kept:
        console.out.print(
            f"kept: {cohort.kept} of {len(cohort.entries)}, done before with the same inputs and settings"
        )
    if cohort.entries:
        worst = cohort.ranked()[0]
        flagged = [f"{organ}: {', '.join(words)}" for organ, words in cohort.flags[worst.name].items() if words]
        why = "; ".join(flagged) or f"confidence {worst.confidence:.2f}"
        console.out.print(f"masks: {len(cohort.entries)} in {out} (<name>_seg.{ending})")
        if any(organ != unnamed(value) for value, organ in called.items()):
            console.out.print(f"labels: {', '.join(f'{v} {organ.name}' for v, organ in called.items())}")
        console.out.print(f"table and pictures: {out / TABLE_NAME}, {out / SHEET_NAME}")
        console.out.print(f"look first at: {out / worst.overlay} ({why})")


def fail_on_failed(cohort: Cohort, *, anonymise: bool = False) -> None:
    """End with an error that names the scans that failed, if any did.

    Raises:
        InputError: at least one failed.
    """
    failures = [failure(query, error, anonymise, HINTS) for query, error in cohort.failed]
    kept = " (the others are kept)" if cohort.entries else ""
    if len(failures) == 1:  # one line says it all, with the scan's own remedy
        count, one = len(cohort.entries) + 1, failures[0]
        named = re.search(rf"(?<!\S){re.escape(one.query)}(?![^\s:;,])", one.reason)
        what, _, remedy = (one.reason if named else f"{one.query}: {one.reason}").partition("; ")
        raise InputError(f"1 of {counted(count, 'scan')} failed: {what}", f"{remedy}{kept}")
    remedy = f"fix or remove them, then run again{kept}"
    console.fail_on({one.name: one.reason for one in failures}, remedy, what="scan")
