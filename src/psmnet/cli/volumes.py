"""psmnet volumes."""

from pathlib import Path
from typing import Any

import numpy as np
import rich_click as click
from rich.table import Table

from psmnet.cli import console
from psmnet.cli.options import DATA, overwrite_option
from psmnet.cohort import REPORT_NAME
from psmnet.errors import InputError, PsmnetError
from psmnet.files import read_json, require_writable, write_text
from psmnet.io import has_scan_suffix, read_labels
from psmnet.io.names import is_label_map, is_segmentation
from psmnet.io.organ_names import read_names, unnamed
from psmnet.report.csv_text import Value, csv_text
from psmnet.shape import measure

COLUMNS = (
    *("mask", "label", "organ", "volume_ml", "surface_cm2", "sphericity"),
    *("extent_x_mm", "extent_y_mm", "extent_z_mm", "parts", "slices"),
)


@click.command("volumes")
@click.argument("masks", type=DATA, nargs=-1, required=True)
@click.option("--names", type=DATA, metavar="FILE", help="What label values are called: JSON, CSV, ITK-SNAP, Slicer.")
@click.option("--out", type=DATA, metavar="FILE.csv", help="Where the table goes, with all measures.")
@overwrite_option("tables")
def command(masks: tuple[Path, ...], names: Path | None, out: Path | None, overwrite: bool) -> None:
    """Volumes and simple shape measures of label maps: files, or folders of `<name>_seg.nii.gz` and the like."""
    if out is not None:
        require_writable(out, overwrite=overwrite)
    given = {value: organ.name for value, organ in read_names(names).items()} if names else None
    rows: list[list[Value]] = []
    failed: dict[str, PsmnetError] = {}
    found = _find(masks)
    with console.progress("masks", len(found)) as advance:
        for done, path in enumerate(found, 1):
            try:
                rows += _measured(path, _names_beside(path) if given is None else given)
            except PsmnetError as error:
                failed[path.name] = error
            advance(done, path.name)
    table = Table("mask", "organ", "ml", "parts")
    for row in rows:
        table.add_row(str(row[0]), str(row[2]), f"{row[3]:.1f}", str(row[9]))
    console.out.print(table)
    if out is not None:
        write_text(out, csv_text([COLUMNS, *rows]))
        console.out.print(f"table: {out}")
    console.fail_on(failed, "mend or leave them out", what="mask")


def _find(masks: tuple[Path, ...]) -> list[Path]:
    found: dict[Path, None] = {}
    for path in masks:
        if not path.is_dir():
            found[path] = None
            continue
        inside = sorted(p for p in path.rglob("*") if has_scan_suffix(p) and (is_segmentation(p) or is_label_map(p)))
        if not inside:
            raise InputError(f"no mask in {path}", "give masks, called <name>_seg.nii.gz or as label maps are")
        found |= dict.fromkeys(inside)
    return list(found)


def _measured(path: Path, names: dict[int, str]) -> list[list[Value]]:
    labels = read_labels(path)
    rows: list[list[Value]] = []
    for value in (int(v) for v in np.unique(labels.array_zyx) if v):
        shape = measure(labels.array_zyx == value, labels.spacing_mm)
        figures = (shape.volume_ml, shape.surface_cm2, shape.sphericity, *shape.extent_mm)
        organ = names.get(value, unnamed(value).name)
        rows.append([path.name, value, organ, *(round(figure, 4) for figure in figures), shape.parts, shape.slices])
    return rows


def _names_beside(path: Path) -> dict[int, str]:
    """Names that `psmnet segment` left in its report."""
    report = path.parent / REPORT_NAME
    if not report.is_file():
        return {}
    labels: Any = read_json(report).get("labels", {})
    return {int(value): str(name) for value, name in labels.items()} if isinstance(labels, dict) else {}
