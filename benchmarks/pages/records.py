"""Records of results/, picked and written as Markdown."""

import csv
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from psmnet.evaluation import ResultsFile, find_results
from psmnet.evaluation.bench import Paired, Row, cell_of, common_scans, compare_paired
from psmnet.evaluation.bench.comparison import cell_order
from psmnet.system import read_json

ROOT = Path(__file__).parents[2]
ORGANS = ("liver", "right_kidney", "left_kidney", "spleen")
FOLDS = range(5)
NAMES = {"psmnet": "PSMNet", "alpnet": "ALPNet", "adnet": "ADNet", "qnet": "Q-Net", "panet": "PANet"}
HARDLY_SPLIT = 30  # positions of the smallest part from which hardly any class is split
REFINED = "position_at_inference=0.5,refine_at_inference=2"
PROTOCOLS = {"ep1": "EP1", "blind": "whole scans", "ep2": "EP2"}
PAIR_COLUMNS = ("difference", "interval from", "to", "p")
PSMNET_COLUMNS = ("difference (+: PSMNet better)", *PAIR_COLUMNS[1:])
Cells = Sequence[object]


@cache
def study(name: str) -> tuple[ResultsFile, ...]:
    """All results of a study."""
    return tuple(find_results([ROOT / "results" / "records" / f"{name}.csv.gz"])[0])


@cache
def measured() -> Any:
    """What the scripts of benchmarks/ measured."""
    return read_json(ROOT / "results" / "measurements.json")


@cache
def variants() -> tuple[dict[str, str], ...]:
    """The log of variants."""
    with (ROOT / "results" / "variants.csv").open(encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(stream))


def pick(name: str, method: str, variant: str | None = None, *, own: bool = True, **wanted: Any) -> Row:
    """A method's results of a study: EP1 of Setting 1, one shot and seed 0 unless said; None wants all."""
    conditions = {"protocol": "ep1", "setting": 1, "shots": 1, "seed": 0} | wanted
    if method == "registration":
        conditions |= {"seed": None, "pseudolabels": None}
    files = [
        file
        for file in study(name)
        if (file.method, file.variant) == (method, variant)
        and (file.own_support or not own)
        and all(getattr(file, key) == value for key, value in conditions.items() if value is not None)
    ]
    files.sort(key=lambda file: cell_order(cell_of(file)))  # the order of a report, for the same bootstrap
    return Row(method, {cell_of(file): file for file in files})


def mean(row: Row, fold: int | None = None) -> float | None:
    """Mean Dice over organs."""
    return row.mean("dice", None if fold is None else [cell for cell in row.files if cell.fold == fold])


def title(row: Row) -> str:
    """A method with what its network was made of, by its records."""
    file = next(iter(row.files.values()))
    if file.method == "registration":
        return "Affine and B-spline registration"
    parts = [NAMES[file.method]]
    if file.method == "psmnet":
        parts += ["without cross attention"] * (file.model["attention"] == "off")
        windows = file.model.get("grid_at_inference", file.model["grid"]) > 0
        parts += ["windows in place of splitting"] * (windows and file.model["minimal_area"] >= HARDLY_SPLIT)
        parts += ["position code and refinement"] * (file.variant == REFINED)
    return ", ".join(parts).replace("PSMNet, without", "PSMNet without")


def pair(first: Row, second: Row) -> Paired | None:
    """Two methods scan by scan; None where they have nothing in common."""
    both, _ = common_scans(first, second)
    return compare_paired([a for a, _ in both.values()], [b for _, b in both.values()]) if both else None


def table(columns: Cells, rows: Iterable[Cells]) -> str:
    """A Markdown table; floats are Dice."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(shown, line))} |\n" for line in lines)


def shown(cell: object) -> str:
    """A cell's text."""
    return "-" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def pair_rows(name: str, difference: Paired | None, *more: object) -> list[list[object]]:
    """A row of a table of differences, in Dice points."""
    if difference is None:
        return []
    points = [f"{100 * value:+.1f}" for value in (difference.difference, difference.low, difference.high)]
    return [[name, *more, *points, "< 0.001" if difference.p < 0.001 else f"{difference.p:.3f}"]]


def limited(row: Row, folds: Iterable[int]) -> Row:
    """A row with some of its folds."""
    return Row(row.name, {cell: file for cell, file in row.files.items() if cell.fold in set(folds)})
