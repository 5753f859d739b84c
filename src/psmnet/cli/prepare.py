"""psmnet prepare."""

from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import DATA, jobs_option, legacy_names, legacy_option
from psmnet.data.prepare import FAULTS_OF_PREPARE, PrepareSpec, prepare_dataset
from psmnet.data.prepare.adapters import ADAPTERS
from psmnet.errors import ConfigError
from psmnet.report import write_report
from psmnet.system import counted


@click.command("prepare")
@click.argument("dataset", metavar="|".join(ADAPTERS))
@click.argument("raw", type=DATA)
@click.argument("out", type=DATA)
@legacy_option(FAULTS_OF_PREPARE)
@click.option(
    "--modality",
    type=click.Choice(["ct", "mr"]),
    help="What your scans (folder) are. Default: CT if a scan has values below -500, else MR.",
)
@click.option(
    "--spacing",
    metavar="X,Y,Z",
    help="Voxel size of your scans (folder) in mm (default: their median). Without Z the slices stay as they are.",
)
@click.option(
    "--size",
    type=click.IntRange(8),
    metavar="N",
    help="Rows and columns of your scans (folder) in pixels (default: those of the largest scan).",
)
@click.option("--report", is_flag=True, help="Draw pictures of each case and a table, in OUT/report.")
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
    """Convert the data set RAW for training and evaluation, and write it to OUT.

    RAW is the folder or the zip as it was downloaded. The first word is its name, or folder for your own scans. All
    scans get the same orientation, spacing and range of intensities. Run the command again to continue: cases that
    are in OUT are kept.
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
    made = counted(len(result.made), "case")
    console.out.print(f"{made} made now, {len(result.kept)} kept, {labelled} with labels: {out}")
    console.fail_on(result.failed, "fix these and run the command again (the others are kept)")


def _spacing(text: str | None) -> tuple[float, float, float | None] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not all(0.01 <= number <= 100 for number in numbers):
        raise ConfigError(
            f"--spacing is {text}", "give two or three numbers in mm from 0.01 to 100, for example 1.25,1.25,7.7"
        )
    return numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else None
