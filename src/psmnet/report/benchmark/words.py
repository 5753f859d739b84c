"""What a benchmark's tables say, as plain cells and sentences: Markdown, LaTeX and HTML only dress them."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from psmnet.evaluation import METRICS, Metric, Training
from psmnet.evaluation.bench import DRAWS, FEWEST_SCANS, Paired, Row, Summary, Table, common_scans, compare_paired
from psmnet.report import PageTable

DAGGER, MINUS = "†", "\N{MINUS SIGN}"
USUAL_FOLDS, USUAL_SETTING2 = "ouyang", "any"


@dataclass(frozen=True)
class Section:
    """One table of a report, with what the command line decides about it.

    Attributes:
        number: counted from 1.
        table: of comparable results.
        against: row that the others are compared with.
        folds: the only folds used, None for all.
        pairs: the other rows' names to their comparison, None where nothing is in common.
    """

    number: int
    table: Table
    against: Row
    folds: Collection[int] | None = None
    pairs: dict[str, Paired | None] = field(default_factory=dict)


def compare(number: int, table: Table, against: Row, folds: Collection[int] | None) -> Section:
    """Compare every row with one of them."""
    pairs: dict[str, Paired | None] = {}
    for row in table.rows:
        if row is not against:
            both, _ = common_scans(row, against)
            first, second = [a for a, _ in both.values()], [b for _, b in both.values()]
            pairs[row.name] = compare_paired(first, second) if both else None
    return Section(number, table, against, folds, pairs)


def reported() -> dict[str, Metric]:
    """The metrics that have a table of their own, Dice first."""
    return {name: metric for name, metric in METRICS.items() if metric.in_report}


def other_metrics(table: Table) -> dict[str, Metric]:
    """The metrics beside Dice of which the table has a value: files may be older than a metric."""
    return {
        name: metric
        for name, metric in reported().items()
        if name != "dice" and any(row.mean(name) is not None for row in table.rows)
    }


def title(table: Table) -> str:
    """What a table is of, in one line; no two tables of a report share it."""
    shots = table.conditions.shots
    return f"{title_without_shots(table)}, {shots} shot{'s' if shots > 1 else ''}"


def title_without_shots(table: Table) -> str:
    """What is the same in tables of one and of several shots; what is not said is as usual."""
    its = table.conditions
    parts = [its.dataset, re.sub("^ep", "EP", its.protocol)]
    parts.append(f"Setting {its.setting}" + (f" ({its.group})" if its.group else ""))
    if its.setting2 not in (None, USUAL_SETTING2):
        parts.append(f"rule {its.setting2}")
    if its.folds != USUAL_FOLDS:
        parts.append(f"folds {its.folds}")
    if its.postprocess:
        parts.append(f"post-processing {its.postprocess}")
    if its.legacy:
        parts.append(f"with {' and '.join(its.legacy)}")
    if its.training is None:
        parts.append("no training")
    else:
        parts.append(f"{its.training.length} on {_training_data(its.training)}")
    return ", ".join(parts)


def _training_data(training: Training) -> str:
    data = f"{training.dataset} {training.pseudolabels}" if training.pseudolabels else training.dataset
    return f"{data} from weights {training.start_weights[:8]}" if training.start_weights else data


def sentences(section: Section) -> list[str]:
    """Under which conditions all of a table was measured, and how its figures were averaged."""
    table, its = section.table, section.table.conditions
    cells = table.cells()
    folds = list(dict.fromkeys(cell.fold_name for cell in cells))
    said = [f"Fold{'s' if len(folds) > 1 else ''} {', '.join(folds)} ({its.folds})."]
    if section.folds is not None:
        said.append(f"Only fold {', '.join(map(str, sorted(section.folds)))}.")
    if its.training is None:
        said.append("No method here was trained.")
    else:
        said.append(f"Trained on {_training_data(its.training)} for {its.training.length}.")
        if free := [row.name for row in table.rows if not row.trained]:
            said.append(f"Without training: {', '.join(free)}.")
    if its.setting2:
        said.append(f"Setting 2 drops slices by the rule {its.setting2!r}.")
    said.append(f"Post-processing: {its.postprocess or 'none'}.")
    said.append(f"Known bugs reproduced: {', '.join(its.legacy) or 'none'}.")
    seeds = {cell.seed for cell in cells} - {None}
    supports = max(len({cell.supports for cell in cells if cell.fold_name == fold}) for fold in folds)
    over = [f"{len(seeds)} seeds"] * (len(seeds) > 1) + [f"up to {supports} supports"] * (supports > 1)
    if any(row.absent() for row in table.rows):
        said.append("'Absent' counts scores of organs that the scan lacks: they are outside the means.")
    if any(row.empty() for row in table.rows):
        said.append("'Empty' counts scores of 0 because nothing was predicted.")
    averaged = f"Each scan's value is first averaged over {' and '.join(over)}. " if over else ""
    said.append(f"{averaged}Means are over query scans of all folds.")
    return said


def gaps(table: Table) -> list[str]:
    """Which rows can't be compared as they stand, and why."""
    return [
        f"{DAGGER} {row.name}: {row.missing}. Its figures are over less than the others' and not comparable."
        for row in table.rows
        if row.missing
    ]


def metric_table(table: Table, metric: str) -> PageTable:
    """Mean ± standard deviation of each organ, and the mean of the organs; the best of comparable figures stressed."""
    columns = ["method", *(organ.replace("_", " ") for organ in table.organs), "mean of organs"]
    if metric == "dice":
        columns += ["scans", "absent", "empty"]
    elif METRICS[metric].empty_prediction is None:
        columns.append("left out")
    figures = [row.summaries(metric) for row in table.rows]
    rows = []
    for row, found in zip(table.rows, figures, strict=True):
        cells = [label(row), *(_cell(found.get(organ), metric, row.scans()) for organ in table.organs)]
        mean = row.mean(metric)
        cells.append(figure(mean, metric) + DAGGER * bool(row.missing and mean is not None))
        if metric == "dice":
            cells += [str(row.scans()), str(row.absent()), str(row.empty())]
        elif METRICS[metric].empty_prediction is None:
            cells.append(str(row.without(metric)))
        rows.append(cells)
    return PageTable(
        f"{METRICS[metric].heading}: mean ± standard deviation over query scans", columns, rows, _best(table, metric)
    )


def pair_table(section: Section) -> PageTable:
    """Every other row against one."""
    sign = f"method {MINUS} {section.against.name} (+: method better)"
    columns = ["method", sign, "95 % interval", "p", "test", "scans", "places"]
    rows = []
    for row in section.table.rows:
        if row is section.against:
            continue
        pair = section.pairs[row.name]
        if pair is None:
            rows.append([label(row), "-", "-", "-", "nothing in common", "0", "0"])
            continue
        rows.append(
            [
                label(row),
                _signed(pair.difference),
                f"{_signed(pair.low)} to {_signed(pair.high)}" if pair.n > 1 else "-",
                "< 0.0001" if pair.p < 0.0001 else f"{pair.p:.4f}",
                "exact" if pair.exact else "normal",
                str(pair.n),
                str(common_scans(row, section.against)[1]),
            ]
        )
    return PageTable("Difference of mean Dice over a scan's organs", columns, rows)


def pair_sentences(section: Section) -> list[str]:
    """How to read the comparison."""
    said = [
        f"Paired by query scan (mean Dice over its organs), over the cells, scans and organs that both methods have; "
        f"a place is a fold with a support. p is of the two-sided Wilcoxon signed-rank test, not corrected for the "
        f"number of methods; the interval is a bootstrap over scans ({DRAWS:,} draws)."
    ]
    known = [pair for pair in section.pairs.values() if pair is not None]
    if known and (least := max(pair.smallest_p for pair in known)) > 0.05:
        fewest = min(pair.n for pair in known)
        scans = f"With {fewest} scan{'s' if fewest > 1 else ''}"
        said.append(f"{scans} no p below {least:g} is possible.")
        if fewest < FEWEST_SCANS:
            said.append(f"{scans} interval and test mean little.")
    return said


def label(row: Row) -> str:
    """A row's name, marked where it lacks something."""
    return f"{row.name} {DAGGER}" if row.missing else row.name


def figure(value: float | None, metric: str) -> str:
    """A figure with its metric's decimals; a dash for None."""
    return METRICS[metric].text(value)


def _signed(value: float) -> str:
    text = f"{value:+.3f}".replace("-", MINUS)
    return text if text[1:] != "0.000" else "0.000"


def _cell(summary: Summary | None, metric: str, scans: int) -> str:
    if summary is None:
        return "-"
    fewer = f" ({summary.n})" if summary.n != scans else ""
    return f"{figure(summary.mean, metric)} ± {figure(summary.std, metric)}{fewer}"


def _best(table: Table, metric: str) -> set[tuple[int, int]]:
    """The best cells of rows that lack nothing.

    None of an organ where one of them left a score out: who predicts nothing has no distance, and would win by it.
    """
    whole = [(place, row) for place, row in enumerate(table.rows) if not row.missing]
    even = [all(row.without(metric, organ) == 0 for _, row in whole) for organ in table.organs]
    shown: dict[tuple[int, int], str] = {}
    for place, row in whole:
        found, mean = row.summaries(metric), row.mean(metric)
        for column, organ in enumerate(table.organs):
            if even[column] and organ in found:
                shown[place, column + 1] = figure(found[organ].mean, metric)
        if all(even) and mean is not None:
            shown[place, len(table.organs) + 1] = figure(mean, metric)
    pick = max if METRICS[metric].higher_is_better else min
    best: set[tuple[int, int]] = set()
    for column in range(1, len(table.organs) + 2) if len(whole) > 1 else ():
        texts = {at: float(text) for at, text in shown.items() if at[1] == column}
        best |= {at for at, value in texts.items() if value == pick(texts.values())}
    return best
