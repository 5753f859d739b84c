"""psmnet export."""

from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import DATA, jobs_option
from psmnet.system import locked


@click.command("export")
@click.argument("data", type=DATA)
@click.argument("out", type=DATA, metavar="DATASETNNN_NAME")
@click.option("--dataset", metavar="NAME", help="Data set that DATA holds (default: what dataset.json says).")
@jobs_option()
def command(data: Path, out: Path, dataset: str | None, jobs: int) -> None:
    """Write the prepared folder DATA as an nnU-Net v2 data set.

    Scans without labels are written to imagesTs.
    """
    from psmnet.export import export_nnunet

    with locked(out), console.progress("cases", None) as advance:
        failed = export_nnunet(data, out, dataset, jobs=jobs, report=advance)
    console.out.print(f"nnU-Net data set: {out}")
    console.fail_on(failed, "fix or remove these files and run the command again")
