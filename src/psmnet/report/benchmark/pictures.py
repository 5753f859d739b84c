"""The best, the median and the worst scan of a method, with every method's contours beside the reference's."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psmnet.catalog import DATASETS
from psmnet.data import Case, read_dataset_file
from psmnet.evaluation import ResultsFile, mask_path, masks_folder
from psmnet.evaluation.bench import Cell, Row, Table
from psmnet.io import read_labels
from psmnet.report import Colour, SlicePainter, colour_of
from psmnet.volume import Mask, Volume, align_labels

WHERE = "Of each scan the slice in which the reference's organs, each as a share of its largest slice, add up to most."
SAVE = "Save the masks when evaluating"
GIVE = "give the folder of the data to the report"


@dataclass(frozen=True)
class Panel:
    """One method's slice: what is said of it, and a PNG."""

    caption: str
    png: bytes


@dataclass(frozen=True)
class ShownScan:
    """One scan by all methods that have masks of it."""

    heading: str
    panels: list[Panel]


def organ_colours(table: Table) -> dict[str, Colour]:
    """The same in all pictures of a table."""
    return {organ: colour_of(place) for place, organ in enumerate(table.organs, start=1)}


def draw_scans(table: Table, against: Row, data: Mapping[str, Case] | None) -> list[ShownScan] | str:
    """Draw the best, the median and the worst scan of a method, each where `WHERE` says.

    Args:
        table: whose methods are shown.
        against: the method by whose mean Dice scans are chosen.
        data: cases by id; None where none were given.

    Returns:
        the scans, or one sentence on what is missing.

    Raises:
        InputError: a mask can't be read, or lies on another grid than its scan.
    """
    ranked = _ranked(against)
    if not ranked:
        return f"{against.name} has no scan with a Dice to show."
    cells: dict[str, Cell] = {}
    for case_id in _chosen(ranked).values():
        cell = next((cell for cell, file in against.files.items() if mask_paths(file, case_id)), None)
        if cell is None and data is None:
            return f"No pictures: they need the masks beside the results, and the data. {SAVE}, and {GIVE}."
        if cell is None:
            return f"No pictures: there are no masks of case {case_id} by {against.name}. {SAVE}."
        cells[case_id] = cell
    if data is None:
        return f"No pictures: they need the data. {GIVE.capitalize()}."
    found: list[tuple[Cell, Case, str]] = []
    for rank, case_id in _chosen(ranked).items():
        cell = cells[case_id]
        case, expected = data.get(case_id), against.files[cell].checksums.get(case_id)
        if case is None or not case.label_path.exists() or (expected and case.checksum() != expected):
            return f"No pictures: the data given hold no case {case_id} as it was evaluated, with its labels."
        found.append((cell, case, f"{rank}: case {case_id}"))
    return [_draw(table, against, cell, case, heading) for cell, case, heading in found]


def mask_paths(file: ResultsFile, case_id: str) -> dict[str, Path]:
    """Organ to mask of one scan, of those that lie beside a results file."""
    if file.path is None:  # from a table of records
        return {}
    folder = masks_folder(file.path)
    paths = {organ: mask_path(folder, case_id, organ) for organ in file.organs}
    return {organ: path for organ, path in paths.items() if path.parent == folder and path.is_file()}


def _ranked(row: Row) -> list[str]:
    means = {case: float(np.mean(list(organs.values()))) for case, organs in row.by_scan("dice").items()}
    return sorted(means, key=lambda case: (-means[case], case))


def _chosen(ranked: Sequence[str]) -> dict[str, str]:
    """What each scan is shown as; of two scans there is no median, of one no worst."""
    if len(ranked) == 1:
        return {"The only scan": ranked[0]}
    middle = {"Median": ranked[len(ranked) // 2]} if len(ranked) > 2 else {}
    return {"Best": ranked[0], **middle, "Worst": ranked[-1]}


def _draw(table: Table, against: Row, cell: Cell, case: Case, heading: str) -> ShownScan:
    image = case.image()
    labels = case.labels(image)
    references = {organ: labels.array_zyx == value for organ, value in _values(table, case).items()}
    index = _telling(list(references.values()))
    painter, colours = SlicePainter(image), organ_colours(table)
    contours = [mask[index] for mask in references.values()]
    panels, without = [], []
    for row in table.rows:
        file = _file_like(row, cell, case.id)
        if file is None:
            without.append(row.name)
            continue
        masks = [(_mask(path, image)[index], colours[organ]) for organ, path in mask_paths(file, case.id).items()]
        picture = painter.contours(index, masks, contours)
        content = io.BytesIO()
        picture.save(content, format="PNG")
        panels.append(Panel(f"{row.name}{_dice(file, case.id)}", content.getvalue()))
    gap = f" No masks by {', '.join(without)}." if without else ""
    place = f"slice {index + 1} of {len(labels.array_zyx)}, {cell}"
    return ShownScan(f"{heading} by {against.name}{_dice(against.files[cell], case.id)}; {place}.{gap}", panels)


def _telling(references: Sequence[Mask]) -> int:
    """The slice of `WHERE`: with only the largest organ the others would not be seen."""
    areas = [mask.sum(axis=(1, 2)) for mask in references if mask.any()]
    return int(np.argmax(sum(area / area.max() for area in areas))) if areas else 0


def _values(table: Table, case: Case) -> dict[str, int]:
    """Label value of each organ, from the data's own file, else from the catalogue."""
    prepared = read_dataset_file(case.image_path.parent)
    facts = DATASETS.get(table.conditions.dataset)
    known = (dict(facts.labels) if facts else {}) | (prepared.labels if prepared else {})
    numbered = {organ: int(organ[6:]) for organ in table.organs if organ[:6] == "label_" and organ[6:].isdecimal()}
    return {organ: (known | numbered)[organ] for organ in table.organs if organ in known | numbered}


def _file_like(row: Row, cell: Cell, case_id: str) -> ResultsFile | None:
    """The row's file of the same cell, or of the most alike that has masks of the scan."""
    having = [own for own, file in row.files.items() if mask_paths(file, case_id)]
    if not having:
        return None
    return row.files[min(having, key=lambda own: (own.place != cell.place, own.seed != cell.seed))]


def _mask(path: Path, image: Volume) -> Mask:
    labels = align_labels(image, read_labels(path), labels_name=str(path))
    mask: Mask = labels.array_zyx > 0
    return mask


def _dice(file: ResultsFile, case_id: str) -> str:
    own = {r.organ: r.values["dice"] for r in file.records if r.case == case_id}
    known = {label.replace("_", " "): value for label, value in own.items() if value is not None}
    each = ", ".join(f"{label} {value:.2f}" for label, value in known.items())
    return f", Dice {np.mean(list(known.values())):.3f}" + f" ({each})" * (len(known) > 1) if known else ""
