"""psmnet volumes."""

from pathlib import Path

import numpy as np
import rich_click as click
from rich.table import Table

from psmnet.cli import console
from psmnet.cli.options import DATA, names_option, overwrite_option
from psmnet.cohort import REPORT_NAME, CohortReport
from psmnet.errors import InputError, PsmnetError
from psmnet.io import has_scan_suffix, is_label_map, is_segmentation, read_label_file, read_names, stem, unnamed
from psmnet.report import Value, csv_text
from psmnet.system import require_writable, write_text
from psmnet.volume import measure

COLUMNS = (
    *("mask", "label", "organ", "volume_ml", "surface_cm2", "sphericity"),
    *("extent_x_mm", "extent_y_mm", "extent_z_mm", "parts", "slices"),
)


@click.command("volumes")
@click.argument("masks", type=DATA, nargs=-1, required=True)
@names_option()
@click.option("--out", type=DATA, metavar="FILE.csv", help="Table of all measures to write.")
@overwrite_option("tables")
def command(masks: tuple[Path, ...], names: Path | None, out: Path | None, overwrite: bool) -> None:
    """Measure volumes and simple shapes of organs in MASKS.

    MASKS are label maps, .seg.nrrd files, DICOM Segmentations, or folders. In a folder, the files named
    like masks (<name>_seg.nii.gz) are measured; if there are none, all files are, as one mask per organ each.
    """
    if out is not None:
        require_writable(out, overwrite=overwrite)
    given = {value: organ.name for value, organ in read_names(names).items()} if names else None
    rows: list[list[Value]] = []
    failed: dict[str, PsmnetError] = {}
    found = _find(masks)
    with console.progress("masks", len(found)) as advance:
        for done, (path, named) in enumerate(found.items(), 1):
            try:
                rows += _measured(path, given, of_one_organ=named)
            except PsmnetError as error:
                failed[path.name] = error
            advance(done, path.name)
    if rows:
        table = Table("mask", "organ", "ml", "parts")
        for row in rows:
            table.add_row(str(row[0]), str(row[2]), f"{row[3]:.1f}", str(row[9]))
        console.out.print(table)
    if rows and out is not None:
        write_text(out, csv_text([COLUMNS, *rows]))
        console.out.print(f"table: {out}")
    console.fail_on(failed, "fix or remove them", what="mask")


def _find(masks: tuple[Path, ...]) -> dict[Path, bool]:
    """Masks, and whether each shows one organ after which it is named."""
    found: dict[Path, bool] = {}
    for path in masks:
        if not path.is_dir():
            found[path] = False
            continue
        scans = sorted(p for p in path.rglob("*") if has_scan_suffix(p) and not p.name.startswith("."))
        inside = [p for p in scans if is_segmentation(p) or is_label_map(p)]
        if not scans:
            raise InputError(f"no mask in {path}", "give masks, or a folder of files named <name>_seg.nii.gz")
        found |= dict.fromkeys(inside or scans, not inside)
    return found


def _measured(path: Path, given: dict[int, str] | None, *, of_one_organ: bool) -> list[list[Value]]:
    read = read_label_file(path)
    labels = read.volume
    values = [int(v) for v in np.unique(labels.array_zyx) if v]
    if given is None:
        given = _names_beside(path) | {value: organ.name for value, organ in read.names.items()}
        if of_one_organ and len(values) == 1:
            given = {values[0]: stem(path)}
    rows: list[list[Value]] = []
    for value in values:
        shape = measure(labels.array_zyx == value, labels.spacing_mm)
        figures = (shape.volume_ml, shape.surface_cm2, shape.sphericity, *shape.extent_mm)
        organ = given.get(value, unnamed(value).name)
        rows.append([path.name, value, organ, *(round(figure, 4) for figure in figures), shape.parts, shape.slices])
    return rows


def _names_beside(path: Path) -> dict[int, str]:
    """Names that `psmnet segment` left in its report."""
    report = CohortReport.find(path.parent / REPORT_NAME)
    return report.labels if report else {}
