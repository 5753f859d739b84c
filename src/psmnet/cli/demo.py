"""psmnet demo."""

from pathlib import Path

import rich_click as click
from rich.table import Table

from psmnet.cli import console
from psmnet.cli.options import DATA, set_threads, threads_option
from psmnet.report import write_demo


@click.command("demo")
@click.option("--out", type=DATA, default=Path("demo"), show_default=True, metavar="DIR", help="Folder to write to.")
@threads_option()
def command(out: Path, threads: int | None) -> None:
    """Draw synthetic patients and learn from all of them with the labels of the first one.

    This shows what psmnet does without any data of your own: first masks, and what a short learning makes of them. The
    page that it writes shows masks and scores: Dice is the overlap of a mask with the reference, from 0 (none) to 1
    (equal).
    """
    set_threads(threads)
    with console.stages() as progress:
        demo = write_demo(out, threads=threads, progress=progress)
    table = Table(*demo.table.columns, title=demo.table.caption)
    for row in demo.table.rows:
        table.add_row(*row)
    console.out.print(table)
    console.out.print(f"mean Dice {demo.first:.3f} of first masks, {demo.learned:.3f} after a short learning")
    console.out.print(f"masks: {demo.masks}")
    console.out.print(f"network: {demo.network} (psmnet segment NEW... --weights {demo.network})")
    console.out.print(f"page: {demo.page}")
