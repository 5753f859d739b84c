"""psmnet check."""

from pathlib import Path

import rich_click as click

from psmnet.catalog import DATASETS
from psmnet.cli import console
from psmnet.cli.options import DATA, jobs_option
from psmnet.data.check import check_dataset


@click.command("check")
@click.argument("data", type=DATA)
@click.option("--dataset", metavar="NAME", help=f"One of {', '.join(DATASETS)}; by default what dataset.json says.")
@jobs_option()
@click.pass_context
def command(ctx: click.Context, data: Path, dataset: str | None, jobs: int) -> None:
    """Tell what is there and what is wrong with a folder in the normalised layout.

    Exits with 0 (nothing is wrong), 1 (warnings: look at them) or 2 (errors: training or evaluation would refuse it,
    or be silently wrong).
    """
    with console.progress("cases", None) as advance:
        report = check_dataset(data, dataset, jobs=jobs, report=advance)
    for finding in report.findings:
        console.out.print(str(finding))
    if report.prepared is not None:
        faults = f", with the field's faults {', '.join(report.prepared.legacy)}" if report.prepared.legacy else ""
        console.out.print(f"prepared by psmnet {report.prepared.version} as {report.prepared.dataset}{faults}")
    console.out.print(report.summary())
    ctx.exit(report.exit_code)
