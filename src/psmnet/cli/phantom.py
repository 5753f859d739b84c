"""psmnet phantom."""

from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import DATA, overwrite_option
from psmnet.data.phantom import write_patients
from psmnet.system import counted, locked, require_writable


@click.command("phantom")
@click.argument("out", type=DATA, metavar="DIR")
@click.option("--cases", type=click.IntRange(1), metavar="N", default=8, show_default=True, help="Number of patients.")
@click.option(
    "--seed", type=click.IntRange(0), metavar="N", default=0, show_default=True, help="Seed of the first patient."
)
@overwrite_option("patients")
def command(out: Path, cases: int, seed: int, overwrite: bool) -> None:
    """Write synthetic patients with labels to DIR, as a prepared data set (--dataset phantom)."""
    with locked(out), console.progress("patients", cases) as advance:
        for number in range(1, cases + 1):
            for kind in ("image", "label"):
                require_writable(out / f"{kind}_{number}.nii.gz", overwrite=overwrite)
        write_patients(out, cases, seed, lambda done: advance(done, ""))
    console.out.print(f"{counted(cases, 'patient')}: {out}")
