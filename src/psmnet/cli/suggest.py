"""psmnet suggest."""

from collections.abc import Callable, Iterator, Sequence
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
from psmnet.errors import ConfigError, PsmnetError
from psmnet.io import Query, find_queries, read_scan
from psmnet.models import load_weights
from psmnet.report import csv_text
from psmnet.runtime import pick_device
from psmnet.segmentation import Suggestion, require_contrast, suggest
from psmnet.system import require_writable, write_text
from psmnet.volume import Volume

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
    default=default_of(suggest, "k"),
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
    if k >= len(found):
        raise ConfigError(f"-k is {k}, but there are only {console.count(len(found), 'scan')}", "choose fewer")
    usable: list[Query] = []
    failed: dict[str, PsmnetError] = {}
    with console.progress("scans", len(found)) as advance:
        read = _readable(found, series, usable, failed, advance)
        suggestion = suggest(read, load_weights(weights or "bundled"), k=k, device=pick_device(device))
    _print(usable, suggestion)
    if out is not None:
        rows = [[query.name, rank, round(suggestion.agreement[i], 4)] for rank, i, query in _ranked(usable, suggestion)]
        write_text(out, csv_text([("scan", "choice", "agreement"), *rows]))
        console.out.print(f"table: {out}")
    console.fail_on(failed, "fix or remove them", what="scan")


def _readable(
    found: Sequence[Query],
    series: Sequence[str],
    usable: list[Query],
    failed: dict[str, PsmnetError],
    advance: Callable[..., None],
) -> Iterator[Volume]:
    """Read one scan after another; those that can't be used are collected in `failed`."""
    for done, query in enumerate(found, 1):
        try:
            notes: list[str] = []
            scan = read_scan(query.path, series=series, notes=notes).volume
            require_contrast(scan, "the scan")
        except PsmnetError as error:
            failed[query.name] = error
        else:
            for note in notes:
                console.out.print(f"note: {note}")
            usable.append(query)
            yield scan
        advance(done, query.name)


def _ranked(scans: Sequence[Query], suggestion: Suggestion) -> list[tuple[int | None, int, Query]]:
    """Choice (1 is the first to label), number and scan: the chosen ones first, then by agreement."""
    rest = sorted(set(range(len(scans))) - set(suggestion.chosen), key=lambda i: -suggestion.agreement[i])
    first: list[tuple[int | None, int, Query]] = [(n, i, scans[i]) for n, i in enumerate(suggestion.chosen, 1)]
    return first + [(None, i, scans[i]) for i in rest]


def _print(scans: Sequence[Query], suggestion: Suggestion) -> None:
    table = Table("choice", "scan", "agreement with the others")
    ranked = _ranked(scans, suggestion)
    for rank, i, query in ranked[: len(suggestion.chosen) + SHOWN]:
        table.add_row("" if rank is None else str(rank), query.name, f"{suggestion.agreement[i]:.2f}")
    console.out.print(table)
    if len(ranked) > len(suggestion.chosen) + SHOWN:
        console.out.print(f"and {len(ranked) - len(suggestion.chosen) - SHOWN} more")
    for i in suggestion.chosen:
        console.out.print(f"label: {scans[i].path}")
