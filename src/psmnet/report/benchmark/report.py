"""A benchmark report: tables for reading, for papers and for programs, and one page with all of it."""

from collections.abc import Collection, Sequence
from pathlib import Path

from psmnet.data import find_cases
from psmnet.errors import InputError
from psmnet.evaluation import ResultsFile, table_text
from psmnet.evaluation.bench import Row, Table, gather_tables
from psmnet.report import write_document
from psmnet.report.benchmark.page import STYLE, contents_html, provenance_html, section_html, shots_html
from psmnet.report.benchmark.pictures import ShownScan, draw_scans
from psmnet.report.benchmark.text import comparisons_csv, latex, markdown, table_csv
from psmnet.report.benchmark.words import Section, compare
from psmnet.system import require_writable, write_text

PAGE = "report.html"
NAMES = ("table.md", "table.csv", "comparisons.csv", "table.tex", "records.csv", PAGE)
OWN_METHOD = "psmnet"


def write_benchmark(
    files: Sequence[ResultsFile],
    out: Path,
    *,
    data: Path | None = None,
    against: str | None = None,
    folds: Collection[int] | None = None,
    own_support: bool = False,
    remarks: Sequence[str] = (),
    overwrite: bool = False,
) -> tuple[list[Section], list[str]]:
    """Write the files of NAMES.

    Args:
        files: results.
        out: folder.
        data: folder in the normalised layout, for pictures.
        against: method (or row) that the others are compared with; psmnet by default, else the best.
        folds: the only folds to use; None for all.
        own_support: use only results of the support scans that each fold names.
        remarks: on the files, shown first.
        overwrite: replace reports that are there.

    Returns:
        the tables, and remarks on the files and, where data are given, on pictures that could not be made.

    Raises:
        InputError: a report is there already, results contradict each other, no table has `against`, a fold has no
            results, or data or masks can't be read, or a mask lies on another grid than its scan.
    """
    for name in NAMES:
        require_writable(out / name, overwrite=overwrite)
    if own_support:
        files = [file for file in files if file.own_support]
        remarks = [*remarks, "Only results of each fold's own support are used"]
        if not files:
            raise InputError("no results of a fold's own support", "use all supports")
    tables, repeats = gather_tables(files, folds)
    remarks = [*remarks, *repeats]
    if against is not None and all(table.row(against) is None for table in tables):
        known = dict.fromkeys(row.name for table in tables for row in table.rows)
        names = ", ".join(known)
        raise InputError(f"no method {against!r} in these results", f"give one of {names}", code="against", known=names)
    sections = [compare(number, table, _against(table, against), folds) for number, table in enumerate(tables, start=1)]
    cases = None if data is None else {case.id: case for case in find_cases(data)}
    used: dict[int, tuple[ResultsFile, list[int]]] = {}
    for section in sections:
        for file in section.table.files():
            used.setdefault(id(file), (file, []))[1].append(section.number)
    drawn = [draw_scans(section.table, section.against, cases) for section in sections]
    body = contents_html(sections)
    for section, scans in zip(sections, drawn, strict=True):
        body += section_html(section, scans)
    body += shots_html(sections) + provenance_html(list(used.values()))
    texts = {
        "table.md": markdown(sections, remarks),
        "table.csv": table_csv(sections),
        "comparisons.csv": comparisons_csv(sections),
        "table.tex": latex(sections),
        "records.csv": table_text(file for file, _ in used.values()),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    write_document(out / PAGE, title="Benchmark", intro=_intro(sections, len(used), remarks), body=body, style=STYLE)
    return sections, remarks if data is None else [*remarks, *_without_pictures(drawn)]


def _against(table: Table, wanted: str | None) -> Row:
    return table.row(wanted or OWN_METHOD) or table.row(OWN_METHOD) or table.best()


def _without_pictures(drawn: Sequence[list[ShownScan] | str]) -> list[str]:
    """Why tables have no pictures, each reason once with the tables it holds for."""
    reasons: dict[str, list[str]] = {}
    for number, scans in enumerate(drawn, start=1):
        if isinstance(scans, str):
            reasons.setdefault(scans, []).append(str(number))
    return [f"table {', '.join(numbers)}: {reason}" for reason, numbers in reasons.items()]


def _intro(sections: Sequence[Section], files: int, remarks: Sequence[str]) -> str:
    tables = f"{len(sections)} table{'s' if len(sections) > 1 else ''}"
    text = (
        f"{tables} from {files} results file{'s' if files > 1 else ''}. Methods stand in one table only where data, "
        "protocol, setting, folds, shots, post-processing and training (pseudo-labels, steps) are the same."
    )
    return "\n\n".join([text, *(f"{remark}." for remark in remarks)])
