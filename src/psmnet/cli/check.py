"""psmnet check."""

from pathlib import Path

import rich_click as click

from psmnet.catalog import DATASETS
from psmnet.cli import console
from psmnet.cli.hints import HINTS
from psmnet.cli.options import DATA, jobs_option
from psmnet.data.check import check_dataset


@click.command("check")
@click.argument("data", type=DATA)
@click.option("--dataset", metavar="NAME", help=f"One of {', '.join(DATASETS)} (default: what dataset.json says).")
@jobs_option()
@click.pass_context
def command(ctx: click.Context, data: Path, dataset: str | None, jobs: int) -> None:
    """Check the prepared folder DATA for mistakes.

    The exit code is 0 if nothing is wrong, 1 if there are warnings to look at, and 2 if there are errors: training or
    evaluation would stop, or give wrong results.
    """
    with console.progress("cases", None) as advance:
        report = check_dataset(data, dataset, jobs=jobs, report=advance)
    for finding in report.findings:
        console.out.print(finding.worded(HINTS))
    if report.prepared is not None:
        faults = f", with the known bugs {', '.join(report.prepared.legacy)}" if report.prepared.legacy else ""
        console.out.print(f"prepared by psmnet {report.prepared.version} as {report.prepared.dataset}{faults}")
    console.out.print(report.summary())
    ctx.exit(report.exit_code)
