"""A benchmark's tables as Markdown, LaTeX and CSV, with names from files made harmless in each."""

from collections.abc import Sequence

from psmnet.evaluation.bench import Row, common_scans
from psmnet.report import PageTable, Value, csv_text, printable
from psmnet.report.benchmark.words import (
    Section,
    gaps,
    metric_table,
    other_metrics,
    pair_sentences,
    pair_table,
    reported,
    sentences,
    title,
)

_MARKDOWN = {ord(c): f"\\{c}" for c in r"\`*_{}[]#|~!"} | {ord("<"): "&lt;", ord(">"): "&gt;", ord("&"): "&amp;"}
_LATEX = {ord(c): f"\\{c}" for c in "&%$#_{}"} | {
    ord("\\"): r"\textbackslash{}",
    ord("~"): r"\textasciitilde{}",
    ord("^"): r"\textasciicircum{}",
    ord("<"): r"\textless{}",
    ord(">"): r"\textgreater{}",
    ord("|"): r"\textbar{}",
    ord("±"): r"$\pm$",
    ord("†"): r"\dag{}",
}


def markdown(sections: Sequence[Section], remarks: Sequence[str] = ()) -> str:
    """All metrics and the paired comparison of every table, below remarks on all of them."""
    lines = [line for remark in remarks for line in (f"{_md(remark)}.", "")]
    for section in sections:
        lines += [f"## Table {section.number}: {_md(title(section.table))}", ""]
        said = [*sentences(section), *section.table.notes, *section.table.warnings]
        lines += [_md(" ".join(said)), ""]
        lines += _markdown_table(metric_table(section.table, "dice"))
        for gap in gaps(section.table):
            lines += [_md(gap), ""]
        if section.pairs:
            lines += _markdown_table(pair_table(section))
            lines += [_md(" ".join(pair_sentences(section))), ""]
        for metric in other_metrics(section.table):
            lines += _markdown_table(metric_table(section.table, metric))
    return "\n".join(lines)


def _markdown_table(table: PageTable) -> list[str]:
    rows = [
        [f"**{_md(cell)}**" if (place, column) in table.strong else _md(cell) for column, cell in enumerate(row)]
        for place, row in enumerate(table.rows)
    ]
    header = ["| " + " | ".join(_md(name) for name in table.columns) + " |", "|---" * len(table.columns) + "|"]
    return [f"{_md(table.caption)}:", "", *header, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _md(text: str) -> str:
    return _one_line(text).translate(_MARKDOWN)


def latex(sections: Sequence[Section]) -> str:
    """Dice of every table; no package is needed."""
    lines = ["% Written by psmnet report."]
    for section in sections:
        table = metric_table(section.table, "dice")
        notes = [*sentences(section), *section.table.notes, *section.table.warnings, *gaps(section.table)]
        lines += [
            "",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(f'{title(section.table)}. {table.caption}. ' + ' '.join(notes))}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
            r"\hline",
            " & ".join(_tex(name) for name in table.columns) + r" \\",
            r"\hline",
        ]
        for place, row in enumerate(table.rows):
            cells = [
                rf"\textbf{{{_tex(cell)}}}" if (place, column) in table.strong else _tex(cell)
                for column, cell in enumerate(row)
            ]
            lines.append(" & ".join(cells) + r" \\")
        lines += [r"\hline", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    return _one_line(text).translate(_LATEX)


def table_csv(sections: Sequence[Section]) -> str:
    """One line per table, method and organ."""
    rows: list[list[Value]] = [
        [
            *("table", "dataset", "protocol", "setting", "group", "setting2", "folds", "fold_numbers", "shots"),
            *("postprocess", "legacy", "trained_on", "pseudolabels", "steps", "method", "complete", "missing", "organ"),
            *(f"{metric}_{what}" for metric in reported() for what in ("mean", "std", "n")),
        ]
    ]
    for section in sections:
        its = section.table.conditions
        folds = dict.fromkeys(cell.fold_name for cell in section.table.cells())
        for row in section.table.rows:
            training = its.training if row.trained else None  # the other rows' is none of a method without any
            own: list[Value] = [
                *(section.number, its.dataset, its.protocol, its.setting, its.group),
                *(its.setting2 if row.trained else None, its.folds),
                *(" ".join(folds), its.shots, its.postprocess, " ".join(its.legacy)),
                *((training.dataset, training.pseudolabels, training.steps) if training else (None, None, None)),
                *(row.name, not row.missing, row.missing),
            ]
            rows += [[*own, organ, *_figures(row, organ)] for organ in section.table.organs]
            rows.append([*own, "mean of organs", *(v for m in reported() for v in (row.mean(m), None, None))])
    return csv_text(rows)


def _figures(row: Row, organ: str) -> list[Value]:
    figures: list[Value] = []
    for metric in reported():
        summary = row.summaries(metric).get(organ)
        figures += [summary.mean, summary.std, summary.n] if summary else [None, None, 0]
    return figures


def comparisons_csv(sections: Sequence[Section]) -> str:
    """One line per table and method that is compared with another."""
    rows: list[list[Value]] = [
        ["table", "method", "against", "difference", "low", "high", "p", "test", "scans", "places"],
    ]
    for section in sections:
        for row in section.table.rows:
            pair = section.pairs.get(row.name)
            if pair is not None:
                test = "exact" if pair.exact else "normal"
                figures: list[Value] = [pair.difference, pair.low, pair.high, pair.p, test, pair.n]
                places = common_scans(row, section.against)[1]
                rows.append([section.number, row.name, section.against.name, *figures, places])
    return csv_text(rows)


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())
