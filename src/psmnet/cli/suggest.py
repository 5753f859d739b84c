"""psmnet suggest."""

from collections.abc import Sequence
from pathlib import Path

import rich_click as click
from rich.table import Table

from psmnet.cli import console
from psmnet.cli.options import (
    DATA,
    default_of,
    device_option,
    examples,
    overwrite_option,
    series_option,
    set_threads,
    threads_option,
    weights_option,
)
from psmnet.cohort import RankedScan, rank_scans
from psmnet.io import find_queries
from psmnet.models import load_weights
from psmnet.report import csv_text
from psmnet.runtime import pick_device
from psmnet.system import require_writable, write_text

SHOWN = 10  # scans in the table besides those to label; the file has all


EXAMPLES = examples(
    "suggest scans/",
    "suggest 'scans/*.nii.gz' -k 3 --out order.csv",
)


@click.command("suggest", epilog=EXAMPLES)
@click.argument("scans", nargs=-1, required=True, metavar="SCANS...")
@click.option(
    "-k",
    type=click.IntRange(1),
    metavar="N",
    default=default_of(rank_scans, "k"),
    show_default=True,
    help="How many scans you want to label.",
)
@click.option("--out", type=DATA, metavar="FILE.csv", help="Table of all scans to write, the best to label first.")
@overwrite_option("tables")
@series_option()
@weights_option()
@device_option()
@threads_option()
def command(
    scans: tuple[str, ...],
    k: int,
    out: Path | None,
    overwrite: bool,
    series: tuple[str, ...],
    weights: str | None,
    device: str,
    threads: int | None,
) -> None:
    """Find the scans to label by hand, so that psmnet segments the others best.

    SCANS are files, DICOM folders, folders of these, or patterns in quotes. Only the images are used: a scan is worth
    labelling if it agrees well with many others. Agreement is from 0 to 1.
    """
    if out is not None:
        require_writable(out, overwrite=overwrite)
    set_threads(threads)
    found, skipped = find_queries(scans)
    for skip in skipped:
        console.out.print(f"skipped {skip.path.name}: {skip.reason}")
    with console.progress("scans", len(found)) as advance:
        ranking = rank_scans(
            found,
            load_weights(weights or "bundled"),
            k=k,
            device=pick_device(device),
            series=series,
            report=advance,
        )
    for note in ranking.notes:
        console.out.print(f"note: {note}")
    _print(ranking.scans)
    if out is not None:
        rows = [[one.scan.name, one.choice, round(one.agreement, 4)] for one in ranking.scans]
        write_text(out, csv_text([("scan", "choice", "agreement"), *rows]))
        console.out.print(f"table: {out}")
    console.fail_on(ranking.failed, "fix or remove them", what="scan")


def _print(scans: Sequence[RankedScan]) -> None:
    chosen = [one for one in scans if one.choice]
    shown = len(chosen) + SHOWN
    table = Table("choice", "scan", "agreement with the others")
    for one in scans[:shown]:
        table.add_row(str(one.choice or ""), one.scan.name, f"{one.agreement:.2f}")
    console.out.print(table)
    if len(scans) > shown:
        console.out.print(f"and {len(scans) - shown} more")
    for one in chosen:
        console.out.print(f"label: {one.scan.path}")
