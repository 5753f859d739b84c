"""psmnet prepare."""

from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import DATA, jobs_option, legacy_names
from psmnet.data.prepare import FAULTS_OF_PREPARE, PrepareSpec, prepare_dataset
from psmnet.data.prepare.adapters import ADAPTERS
from psmnet.errors import ConfigError
from psmnet.report import write_report


@click.command("prepare")
@click.argument("dataset", metavar="|".join(ADAPTERS))
@click.argument("raw", type=DATA)
@click.argument("out", type=DATA)
@click.option("--legacy", metavar="NAMES", help=f"Faults of the field: all, or any of {', '.join(FAULTS_OF_PREPARE)}.")
@click.option("--modality", type=click.Choice(["ct", "mr"]), help="folder: what the scans are; CT reaches below -500.")
@click.option("--spacing", metavar="X,Y[,Z]", help="folder: mm, instead of the scans' median; no Z keeps the slices.")
@click.option("--size", type=click.IntRange(8), help="folder: rows and columns, instead of the largest scan's.")
@click.option("--report", is_flag=True, help="Pictures of each case and a table, in OUT/report.")
@jobs_option()
def command(
    dataset: str,
    raw: Path,
    out: Path,
    legacy: str | None,
    modality: str | None,
    spacing: str | None,
    size: int | None,
    report: bool,
    jobs: int,
) -> None:
    """Bring the raw download RAW (a folder or the zip), or your own scans (folder), into the normalised layout in OUT.

    What OUT holds already is kept, so that a run that was cut short goes on.
    """
    spec = PrepareSpec(dataset, legacy_names(legacy, FAULTS_OF_PREPARE), modality, _spacing(spacing), size)
    with console.progress("cases", None) as advance:
        result = prepare_dataset(spec, raw, out, jobs=jobs, say=console.say, report=advance)
    for note in result.notes:
        console.out.print(f"note: {note}")
    if report and result.dataset.cases:
        with console.progress("pictures", None) as advance:
            page = write_report(result.dataset, out, jobs=jobs, report=advance)
        console.out.print(f"pictures and table: {page}")
    labelled = sum(record.label_sha256 is not None for record in result.dataset.cases.values())
    console.out.print(f"{len(result.made)} cases made now, {len(result.kept)} kept, {labelled} with labels: {out}")
    console.fail_on(result.failed, "the others are kept: mend these and run the command again")


def _spacing(text: str | None) -> tuple[float, float, float | None] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not all(0.01 <= number <= 100 for number in numbers):
        raise ConfigError(f"--spacing {text}", "give two or three numbers of mm from 0.01 to 100, as in 1.25,1.25,7.7")
    return numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else None
