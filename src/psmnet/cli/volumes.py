"""psmnet volumes."""

from pathlib import Path

import rich_click as click
from rich.table import Table

from psmnet.cli import console
from psmnet.cli.options import DATA, names_option, overwrite_option
from psmnet.cohort import MEASURES, measure_masks
from psmnet.io import read_names
from psmnet.report import csv_text
from psmnet.system import require_writable, write_text


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
    with console.progress("masks", None) as advance:
        rows, failed = measure_masks(masks, given, advance)
    if rows:
        table = Table("mask", "organ", "ml", "parts")
        for row in rows:
            table.add_row(str(row[0]), str(row[2]), f"{row[3]:.1f}", str(row[9]))
        console.out.print(table)
    if rows and out is not None:
        write_text(out, csv_text([MEASURES, *rows]))
        console.out.print(f"table: {out}")
    console.fail_on(failed, "fix or remove them", what="mask")
