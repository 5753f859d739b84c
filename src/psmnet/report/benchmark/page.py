"""A benchmark as one HTML page: tables, plots, pictures, and where every figure comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from psmnet.evaluation import Metric, ResultsFile
from psmnet.evaluation.bench import WHOLE_SUPPORT, Lottery, Row, common_scans, lotteries
from psmnet.report import PageTable, escape, paragraph, picture_block, table_block
from psmnet.report.benchmark import charts
from psmnet.report.benchmark.pictures import WHERE, ShownScan, organ_colours
from psmnet.report.benchmark.words import (
    Section,
    figure,
    gaps,
    label,
    metric_table,
    other_metrics,
    pair_sentences,
    pair_table,
    sentences,
    title,
    title_without_shots,
)

STYLE = (
    charts.STYLE
    + """
h3 { margin: 1.75rem 0 .75rem; font-size: 1.0625rem; }
h4 { margin: 0 0 .6rem; font-size: .9375rem; font-weight: 600; max-width: 60rem; overflow-wrap: anywhere; }
section + section { margin-top: 3rem; padding-top: .5rem; border-top: 1px solid var(--line); }
section p { color: var(--dim); }
section p.gap { color: var(--ink); font-weight: 600; }
strong, a { color: var(--chosen); }
section table { font-size: .9375rem; }
section th, section td, section caption { padding: .4rem .55rem; }
section caption { padding-top: .7rem; }
.figures td, .figures thead th:not(:first-child) { text-align: right; }
.figures th { white-space: normal; }
.figures tbody th { min-width: 9rem; max-width: 16rem; overflow-wrap: anywhere; }
.legend svg { display: inline-block; margin: 0 .35rem -.05rem .9rem; }
.legend svg:first-child { margin-left: 0; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: .75rem; }
.panels { margin: 0 0 1.5rem; }
.panels figure { display: flex; flex-direction: column; justify-content: space-between; }
.panels figure { margin: 0; max-width: 18.75rem; }
.panels figcaption { font-size: .875rem; font-weight: 500; }
"""
)


def section_html(section: Section, scans: Sequence[ShownScan] | str) -> list[str]:
    """All of one table: figures, plots, comparison, supports, and pictures, or why there are none."""
    table = section.table
    body = [
        "<section>",
        f'<h2 id="table-{section.number}">Table {section.number}: {escape(title(table))}</h2>',
        paragraph(" ".join([*sentences(section), *table.notes])),
        *(_gap(text) for text in [*table.warnings, *gaps(table)]),
        _figures(metric_table(table, "dice")),
        "<h3>Dice by organ</h3>",
        *_box_plots(section),
    ]
    if section.pairs:
        body += [f"<h3>Compared with {escape(section.against.name)}</h3>"]
        body += [paragraph(text) for text in pair_sentences(section)]
        body += [_figures(pair_table(section)), *_scatter_plots(section)]
    for lottery in lotteries(table):
        body += _lottery(lottery, section)
    if others := other_metrics(table):
        body += ["<h3>Other metrics</h3>", *_undefined(others)]
        body += [_figures(metric_table(table, metric)) for metric in others]
    body += ["<h3>Best, median and worst scan</h3>", *_pictures(section, scans), "</section>"]
    return body


def _undefined(metrics: Mapping[str, Metric]) -> list[str]:
    """What happens to scores without a value."""
    titles = [metric.title for metric in metrics.values() if metric.empty_prediction is None]
    text = (
        f"Where nothing was predicted there is no {' or '.join(titles)}: such scores are left out, and counted. "
        "Means flatter a method that leaves scores out. (n): scans with a value, where they are fewer."
    )
    return [paragraph(text)] if titles else []


def _figures(table: PageTable) -> str:
    """A table of figures, whatever signs they have, under the names of rows."""
    return f'<div class="figures">{table_block(table)}</div>'


def _gap(text: str) -> str:
    return paragraph(text).replace("<p>", '<p class="gap">', 1)


def _box_plots(section: Section) -> list[str]:
    table = section.table
    found = {row.name: row.by_scan("dice") for row in table.rows}
    values = [v for scans in found.values() for organs in scans.values() for v in organs.values()]
    low = charts.lower_bound(values)

    def lines(pick: str | None) -> list[charts.Line]:
        drawn = []
        for row in table.rows:
            scans = found[row.name].items()
            of_organ = {case: organs[pick] for case, organs in scans if pick in organs} if pick else _means(row)
            told = {f"case {case}": value for case, value in of_organ.items()}
            drawn.append(charts.Line(label(row), told, row is section.against, bool(row.missing)))
        return drawn

    plots = [charts.box_plot(organ.replace("_", " "), lines(organ), low) for organ in table.organs]
    if len(table.organs) > 1:
        plots.append(charts.box_plot("mean of a scan's organs", lines(None), low))
    return ['<div class="charts">', *plots, "</div>"]


def _means(row: Row) -> dict[str, float]:
    return {case: float(np.mean(list(organs.values()))) for case, organs in row.by_scan("dice").items()}


def _scatter_plots(section: Section) -> list[str]:
    against = section.against
    found = {row.name: common_scans(row, against)[0] for row in section.table.rows if row is not against}
    low = charts.lower_bound([v for both in found.values() for pair in both.values() for v in pair])
    plots = []
    for name, both in found.items():
        points = {f"case {case}": (theirs, own) for case, (own, theirs) in both.items()}
        better = sum(own > theirs for own, theirs in both.values())
        heading = f"{name} is better in {better} of {len(both)} scans"
        plots.append(charts.scatter(heading, against.name, name, points, low))
    return ['<div class="charts">', *plots, "</div>"]


def _lottery(lottery: Lottery, section: Section) -> list[str]:
    """How much the choice of the labelled scan matters."""
    names = [" + ".join(supports) for supports in lottery.supports]
    rows, lines = [], []
    for row in section.table.rows:
        means = dict(zip(names, lottery.means[row.name], strict=True))
        known = {f"support {name}": mean for name, mean in means.items() if mean is not None}
        values = list(known.values())
        spread = [np.min(values), np.max(values)] if values else [None] * 2
        spread.append(np.std(values) if len(values) > 1 else None)
        cells = [_share(value) for value in [*means.values(), *spread]]
        partial = len(values) < len(names)
        rows.append([label(row), *cells])
        lines.append(charts.Line(label(row), known, row is section.against, partial))
    columns = ["method", *(f"support {name}" for name in names), "minimum", "maximum", "standard deviation"]
    low = charts.lower_bound([value for line in lines for value in line.values.values()])
    plot = charts.box_plot("mean Dice, one dot per support", lines, low)
    return [
        f"<h3>Support lottery, fold {escape(lottery.fold_name)}</h3>",
        paragraph("Mean Dice of organs over the fold's query scans, for each choice of the labelled scan."),
        table_block(PageTable("Mean Dice by support", columns, rows)),
        f'<div class="charts">{plot}</div>',
    ]


def _share(value: float | None) -> str:
    return figure(value, "dice")


def _pictures(section: Section, scans: Sequence[ShownScan] | str) -> list[str]:
    if isinstance(scans, str):
        return [paragraph(scans)]
    swatches = "".join(
        f'<svg width="11" height="11" aria-hidden="true"><rect width="11" height="11" rx="2" fill="rgb{colour}"/></svg>'
        f"{escape(organ.replace('_', ' '))}"
        for organ, colour in organ_colours(section.table).items()
    )
    body = [f'<p class="legend">{swatches}. Dashed white: the reference. {escape(WHERE)}</p>']
    for scan in scans:
        panels = (picture_block(panel.caption, panel.png) for panel in scan.panels)
        body += [f"<h4>{escape(scan.heading)}</h4>", '<div class="panels">', *panels, "</div>"]
    return body


def shots_html(sections: Sequence[Section]) -> list[str]:
    """Tables that differ only in the number of shots, side by side."""
    alike: dict[object, list[Section]] = {}
    for section in sections:
        alike.setdefault(replace(section.table.conditions, shots=0), []).append(section)
    body = []
    for group in alike.values():
        if len(group) > 1:
            body.append(table_block(_shots(group)))
    said = paragraph("Folds and supports are those of each table, and need not be the same.")
    if any(not row.trained for group in alike.values() if len(group) > 1 for s in group for row in s.table.rows):
        said += paragraph(WHOLE_SUPPORT)
    return ["<section>", "<h2>Shots</h2>", said, *body, "</section>"] if body else []


def _shots(group: Sequence[Section]) -> PageTable:
    columns = ["method"]
    for section in group:
        folds = dict.fromkeys(cell.fold_name for cell in section.table.cells())
        columns.append(f"{section.table.conditions.shots} (folds {', '.join(folds)}; table {section.number})")
    names = dict.fromkeys(row.name for section in group for row in section.table.rows)
    rows = []
    for name in names:
        cells = [name]
        for section in group:
            row = next((row for row in section.table.rows if row.name == name), None)
            mean = row.mean("dice") if row else None
            cells.append(figure(mean, "dice") + "†" * bool(row and row.missing and mean is not None))
        rows.append(cells)
    return PageTable(
        f"{title_without_shots(group[0].table)}: mean Dice of organs by number of labelled scans", columns, rows
    )


def provenance_html(files: Sequence[tuple[ResultsFile, Sequence[int]]]) -> list[str]:
    """Where every figure comes from: each file with the numbers of its tables."""
    columns = ["file", "tables", "method", "fold", "supports", "seed", "preset", "steps", "seconds", "psmnet"]
    columns += ["weights SHA-256", "file SHA-256", "versions", "machine"]
    rows = []
    for file, tables in files:
        rows.append(
            [
                file.source,
                ", ".join(map(str, tables)),
                f"{file.method}-{file.variant}" if file.variant else file.method,
                f"{file.institution}/{file.fold}" if file.institution else str(file.fold),
                ", ".join(file.supports),
                "-" if file.seed is None else str(file.seed),
                file.configuration["preset"] if file.training else "-",
                file.training.length.removesuffix(" steps") if file.training else "-",
                "-" if file.seconds is None else str(file.seconds),
                file.version or "-",
                file.weights_sha256 or "-",
                file.source_sha256 or "-",
                file.libraries or "-",
                ", ".join(filter(None, [file.machine, file.device and f"device {file.device}"])) or "-",
            ]
        )
    return ["<section>", "<h2>Provenance</h2>", table_block(PageTable("Files", columns, rows)), "</section>"]


def contents_html(sections: Sequence[Section]) -> list[str]:
    """Links to the tables, where there are several."""
    if len(sections) < 2:
        return []
    links = (f'<li><a href="#table-{s.number}">Table {s.number}: {escape(title(s.table))}</a></li>' for s in sections)
    return ["<nav><ul>", *links, "</ul></nav>"]
