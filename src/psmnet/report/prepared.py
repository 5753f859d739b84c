"""Report on a prepared data set: a picture of each case, and a table of geometry, intensities and labels."""

import csv
import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from psmnet.data import Case, DatasetFile, find_cases
from psmnet.errors import PsmnetError
from psmnet.report.overlay import draw_overlay
from psmnet.report.page import PageTable, write_page
from psmnet.system import map_cases, write_text

REPORT_FOLDER = "report"


def write_report(
    dataset: DatasetFile,
    folder: Path,
    *,
    jobs: int = 1,
    report: Callable[[int, str, int], None] = lambda done, case_id, total: None,
) -> Path:
    """Write `report/index.html`, `report/cases.csv` and a PNG of each case into a prepared folder.

    Args:
        dataset: its `dataset.json`.
        folder: the prepared folder.
        jobs: processes.
        report: called with (done, case id, total) after each case.

    Returns:
        the page.

    Raises:
        InputError: a case can't be read, or the folder can't be written.
    """
    out = folder / REPORT_FOLDER
    cases = [case for case in find_cases(folder) if case.id in dataset.cases]
    work = partial(_draw, names=dataset.names(), out=out)
    for done, (case, result) in enumerate(map_cases(work, cases, jobs), start=1):
        if isinstance(result, PsmnetError):
            raise result
        report(done, case.id, len(cases))
    columns, rows = _table(dataset)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    write_text(out / "cases.csv", text.getvalue())
    page = out / "index.html"
    write_page(
        page,
        title=f"{dataset.dataset}, prepared by psmnet {dataset.version}",
        intro=f"{len(cases)} cases ({dataset.modality}). Known bugs of published preprocessing reproduced: "
        f"{', '.join(dataset.legacy) or 'none'}. Voxels of each label are counted in the prepared scan.",
        tables=[PageTable("Cases", columns, rows)],
        pictures=[(f"case {case.id}", out / f"{case.id}.png") for case in cases],
    )
    return page


def _draw(case: Case, *, names: dict[int, str], out: Path) -> None:
    image = case.image()
    labels = case.labels(image) if case.label_path.exists() else None
    drawn = image.array_zyx * 0 if labels is None else labels.array_zyx
    draw_overlay(image, drawn.astype("int32"), names, out / f"{case.id}.png", title=f"case {case.id}")


def _table(dataset: DatasetFile) -> tuple[list[str], list[list[str]]]:
    organs = dataset.labels
    columns = ["case", "raw size", "raw mm", "size", "mm", "axes", "minimum", "mean", "maximum", *organs]
    rows = []
    for case_id, record in dataset.cases.items():
        known = record.intensity
        intensities = [f"{value:.5g}" for value in (known.minimum, known.mean, known.maximum)] if known else ["-"] * 3
        rows.append(
            [
                case_id,
                _by(record.raw_size_xyz),
                _by(record.raw_spacing_mm),
                _by(record.size_xyz),
                _by(record.spacing_mm),
                record.axes,
                *intensities,
                *(str(record.voxels.get(value, 0)) for value in organs.values()),
            ]
        )
    return columns, rows


def _by(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)
