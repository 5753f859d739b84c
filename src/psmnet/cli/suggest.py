"""psmnet suggest."""

from collections.abc import Sequence
from pathlib import Path

import click as plain_click
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
from psmnet.cohort import RankedScan, correct_next, rank_scans
from psmnet.errors import ConfigError
from psmnet.io import find_queries
from psmnet.models import load_weights
from psmnet.report import Value, csv_text
from psmnet.runtime import pick_device
from psmnet.system import counted, require_writable, write_text

SHOWN = 10  # scans in the table besides those to label; the file has all
NEXT = 5  # scans that are shown as the next to correct, unless -k says how many
USELESS_WITH_NEXT = ("series", "weights", "device", "threads")

EXAMPLES = examples(
    "suggest scans/",
    "suggest 'scans/*.nii.gz' -k 3 --out order.csv",
    "suggest --next learned",
)


@click.command("suggest", epilog=EXAMPLES)
@click.argument("scans", nargs=-1, metavar="SCANS...")
@click.option(
    "--next",
    "run",
    type=DATA,
    metavar="RUN",
    help="Folder of psmnet learn: which of its masks to correct next, in place of SCANS.",
)
@click.option(
    "-k",
    type=click.IntRange(1),
    metavar="N",
    default=default_of(rank_scans, "k"),
    show_default=True,
    help="How many scans you want to label or correct.",
)
@click.option(
    "--out", type=DATA, metavar="FILE.csv", help="Table of all scans to write, the best to label or correct first."
)
@overwrite_option("tables")
@series_option()
@weights_option()
@device_option()
@threads_option()
def command(
    scans: tuple[str, ...],
    run: Path | None,
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

    After psmnet learn, --next RUN names the scans whose correction would help most, and why. Correct their masks and
    give them as further labelled scans (psmnet learn SCANS --from RUN --support IMAGE MASK --out RUN2).
    """
    if run is not None:
        _refuse_with_next(scans)
    elif not scans:
        raise click.UsageError("Missing argument 'SCANS...' (or --next RUN)")
    if out is not None:
        require_writable(out, overwrite=overwrite)
    if run is not None:
        _next(run, k if _given("k") else NEXT, out)
        return
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


def _given(name: str) -> bool:
    """Whether an option stands on the command line."""
    source = plain_click.get_current_context().get_parameter_source(name)
    return source is plain_click.core.ParameterSource.COMMANDLINE


def _refuse_with_next(scans: Sequence[str]) -> None:
    """Refuse what has no meaning with --next.

    Raises:
        ConfigError: scans or such an option.
    """
    if scans:
        raise ConfigError(f"--next has the scans of its RUN, and {scans[0]} is given", "leave one of them out")
    if given := [f"--{name}" for name in USELESS_WITH_NEXT if _given(name)]:
        raise ConfigError(f"--next compares no scans, and {', '.join(given)} is given", f"leave out {given[0]}")


def _next(run: Path, k: int, out: Path | None) -> None:
    """Print and write which masks to correct next."""
    order = correct_next(run)
    if order.edited:
        console.out.print(f"corrected already: {', '.join(order.edited)}")
    table = Table("order", "scan", "doubt", "organ", "why")
    for number, one in enumerate(order.scans[:k], 1):
        table.add_row(str(number), one.scan.name, f"{one.scan.doubt:.2f}", one.organ, one.why)
    console.out.print(table)
    if len(order.scans) > k:
        console.out.print(f"and {counted(len(order.scans) - k, 'scan')} more")
    for one in order.scans[:1]:
        then = f"psmnet learn SCANS --from {run} --support IMAGE {one.mask} --out RUN2"
        console.out.print(f"correct: {one.mask}, then {then}")
    if out is not None:
        rows: list[list[Value]] = [
            [number, one.scan.query, round(one.scan.doubt, 4), one.organ, one.why, one.mask.name]
            for number, one in enumerate(order.scans, 1)
        ]
        write_text(out, csv_text([("order", "scan", "doubt", "organ", "why", "mask"), *rows]))
        console.out.print(f"table: {out}")


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
