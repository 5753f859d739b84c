"""Tables of what may be compared: what a cell, a row and a table are, and what two rows have in common."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from psmnet.evaluation import ResultsFile, Training

ByScan = dict[str, dict[str, float]]
"""Case to organ to value."""


class Cell(NamedTuple):
    """What a results file is one of. The seed is None without training."""

    institution: str
    fold: int
    supports: tuple[str, ...]
    seed: int | None

    @property
    def fold_name(self) -> str:
        """The fold's number, with the institution that Li's hold out."""
        return f"{self.institution}/{self.fold}" if self.institution else str(self.fold)

    @property
    def place(self) -> tuple[str, int, tuple[str, ...]]:
        """The cell without its seed: where methods with and without training meet."""
        return self.institution, self.fold, self.supports

    def __str__(self) -> str:
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"fold {self.fold_name}{seed}, support {' + '.join(self.supports)}"


def cell_of(file: ResultsFile) -> Cell:
    """The cell of a results file."""
    return Cell(file.institution or "", file.fold, file.supports, file.seed if file.training else None)


def cell_order(cell: Cell) -> tuple[str, int, tuple[str, ...], int]:
    """Sort key of cells."""
    return *cell.place, -1 if cell.seed is None else cell.seed


@dataclass(frozen=True)
class Conditions:
    """What is equal in a table. `training` is None where no method was trained."""

    dataset: str
    protocol: str
    setting: int
    group: str | None
    setting2: str | None
    folds: str
    shots: int
    postprocess: str | None
    legacy: tuple[str, ...]
    training: Training | None


@dataclass(frozen=True)
class Summary:
    """Mean and standard deviation (of all scans, not of a sample; None of one scan) over n query scans."""

    mean: float
    std: float | None
    n: int


@dataclass
class Row:
    """A method in a table.

    Attributes:
        name: method[-variant], and what else tells it from others of that name.
        files: by cell.
        missing: what the row lacks that others have, in words; empty for nothing.
    """

    name: str
    files: dict[Cell, ResultsFile]
    missing: str = ""

    @property
    def trained(self) -> bool:
        """Whether the method was trained."""
        return any(file.training for file in self.files.values())

    def by_scan(self, metric: str, cells: Collection[Cell] | None = None) -> ByScan:
        """Each scan's value of each organ, averaged over the cells (seeds, supports, folds) that have one."""
        found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for cell, file in self.files.items():
            if cells is None or cell in cells:
                for record in file.records:
                    value = record.values.get(metric)
                    if value is not None:
                        found[record.case][record.organ].append(value)
        return {case: {label: float(np.mean(v)) for label, v in organs.items()} for case, organs in found.items()}

    def summaries(self, metric: str, cells: Collection[Cell] | None = None) -> dict[str, Summary]:
        """Organ to mean over query scans."""
        columns: dict[str, list[float]] = defaultdict(list)
        for organs in self.by_scan(metric, cells).values():
            for label, value in organs.items():
                columns[label].append(value)
        return {
            label: Summary(float(np.mean(v)), float(np.std(v)) if len(v) > 1 else None, len(v))
            for label, v in columns.items()
        }

    def mean(self, metric: str, cells: Collection[Cell] | None = None) -> float | None:
        """Mean of the organs' means; None where there is no value."""
        means = [summary.mean for summary in self.summaries(metric, cells).values()]
        return float(np.mean(means)) if means else None

    def scans(self) -> int:
        """Query scans with a record."""
        return len({record.case for file in self.files.values() for record in file.records})

    def absent(self) -> int:
        """Records of organs that the reference lacks."""
        return sum(r.false_positive_ml is not None for file in self.files.values() for r in file.records)

    def empty(self) -> int:
        """Records where nothing was predicted though the organ is there."""
        return sum(r.empty_prediction for file in self.files.values() for r in file.records)

    def without(self, metric: str, label: str | None = None) -> int:
        """Records (of an organ) with a Dice where this metric is undefined: no prediction has no distance."""
        records = [r for file in self.files.values() for r in file.records if label is None or r.organ == label]
        return sum(r.values["dice"] is not None and r.values.get(metric, 0) is None for r in records)


@dataclass
class Table:
    """Rows that may be compared, the best first, those that lack something last.

    Attributes:
        conditions: that they share.
        rows: methods.
        organs: in the data set's order.
        notes: what the protocol wants said beside its figures.
        warnings: other reasons to look twice.
    """

    conditions: Conditions
    rows: list[Row]
    organs: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def cells(self) -> list[Cell]:
        """Of all rows; where there are cells with a seed, those without one only where none has it."""
        trained = {cell for row in self.rows if row.trained for cell in row.files}
        free = {cell for row in self.rows if not row.trained for cell in row.files}
        places = {cell.place for cell in trained}
        return sorted(trained | {cell for cell in free if cell.place not in places}, key=cell_order)

    def files(self) -> list[ResultsFile]:
        """Of all rows."""
        return [file for row in self.rows for file in row.files.values()]

    def row(self, name: str) -> Row | None:
        """The row of a name, or of a method that only one row has."""
        rows = [row for row in self.rows if row.name == name]
        rows = rows or [row for row in self.rows if any(file.method == name for file in row.files.values())]
        return rows[0] if len(rows) == 1 else None

    def best(self) -> Row:
        """The row of the highest Dice among those that lack nothing."""
        return self.rows[0]


def common_scans(first: Row, second: Row) -> tuple[dict[str, tuple[float, float]], int]:
    """Each scan's mean Dice over its organs by two rows, over the cells, scans and organs that both have.

    Cells are the same if fold, support and seed are; of a method without training the seed does not count.

    Returns:
        case to both means, and the number of places (fold and support) they come from.
    """
    seeds = first.trained and second.trained
    one, other = _grid(first, seeds), _grid(second, seeds)
    values: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    common = [key for key in one if key in other]
    for key in common:
        for (case, label), value in one[key].items():
            if (case, label) in other[key]:
                values[case][label].append((value, other[key][case, label]))
    pairs = {}
    for case, organs in values.items():
        a, b = np.mean([np.mean(of_cells, axis=0) for of_cells in organs.values()], axis=0)
        pairs[case] = (float(a), float(b))
    return pairs, len({key.place for key in common})


def _grid(row: Row, seeds: bool) -> dict[Cell, dict[tuple[str, str], float]]:
    """Dice by cell, then by case and organ; averaged over seeds where they do not count."""
    cells: dict[Cell, list[Cell]] = defaultdict(list)
    for cell in row.files:
        cells[cell if seeds else cell._replace(seed=None)].append(cell)
    return {
        key: {(case, label): v for case, organs in row.by_scan("dice", of).items() for label, v in organs.items()}
        for key, of in cells.items()
    }


@dataclass(frozen=True)
class Lottery:
    """One fold with several supports: each row's mean Dice by support (None where it has no such cell)."""

    fold_name: str
    supports: list[tuple[str, ...]]
    means: Mapping[str, list[float | None]]


def lotteries(table: Table) -> list[Lottery]:
    """Of every fold that the table has with more than one support."""
    supports: dict[tuple[str, int], dict[tuple[str, ...], None]] = defaultdict(dict)
    for cell in table.cells():
        supports[cell.institution, cell.fold][cell.supports] = None
    found = []
    for (institution, fold), choices in supports.items():
        if len(choices) > 1:
            means = {
                row.name: [
                    row.mean("dice", [cell for cell in row.files if cell.place == (institution, fold, choice)])
                    for choice in choices
                ]
                for row in table.rows
            }
            found.append(Lottery(Cell(institution, fold, (), None).fold_name, list(choices), means))
    return found
