"""psmnet phantom."""

from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import DATA
from psmnet.data.phantom import write_patients
from psmnet.lock import locked


@click.command("phantom")
@click.argument("out", type=DATA, metavar="DIR")
@click.option("--cases", type=click.IntRange(1), default=8, show_default=True, help="How many patients.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the first patient.")
def command(out: Path, cases: int, seed: int) -> None:
    """Write synthetic patients with labels, in the normalised layout (--dataset phantom)."""
    with locked(out), console.progress("patients", cases) as advance:
        write_patients(out, cases, seed, lambda done: advance(done, ""))
    console.out.print(f"{cases} patients: {out}")
