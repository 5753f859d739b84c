"""psmnet report."""

from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import DATA, overwrite_option
from psmnet.errors import ConfigError
from psmnet.evaluation import find_results
from psmnet.evaluation.bench import unfinished
from psmnet.report.benchmark import PAGE, gaps, label, title, write_benchmark
from psmnet.system import locked


@click.command("report")
@click.argument("results", type=DATA, nargs=-1, required=True)
@click.option("--out", type=DATA, required=True, metavar="DIR", help="Tables, records and report.html.")
@click.option("--data", type=DATA, metavar="DIR", help="Prepared data, for pictures; masks lie beside the results.")
@click.option("--against", metavar="METHOD", help="Compare the others with it; psmnet by default, else the best.")
@click.option("--folds", metavar="N[,N]", help="Use these folds alone, as in 1,2,3,4.")
@overwrite_option("reports")
def command(
    results: tuple[Path, ...], out: Path, data: Path | None, against: str | None, folds: str | None, overwrite: bool
) -> None:
    """Compare methods: tables, plots and pictures from RESULTS, files of `psmnet evaluate` or folders of them."""
    numbers = _numbers(folds)
    files, others = find_results(results)
    remarks = unfinished(results)
    if others:
        remarks.append(f"{others} other JSON file{'s' if others > 1 else ''} left out")
    with locked(out):
        sections, remarks = write_benchmark(
            files, out, data=data, against=against, folds=numbers, remarks=remarks, overwrite=overwrite
        )
    for remark in remarks:
        console.out.print(f"note: {remark}")
    for section in sections:
        console.out.print(f"table {section.number}: {title(section.table)}")
        for row in section.table.rows:
            mean = row.mean("dice")
            console.out.print(f"    {label(row)}: mean Dice {'-' if mean is None else f'{mean:.3f}'}")
        for line in [*gaps(section.table), *section.table.warnings]:
            console.out.print(f"    {line}")
    console.out.print(f"report: {out / PAGE}")


def _numbers(text: str | None) -> set[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--folds {text}", "give numbers of folds, as in 1,2,3,4")
    return {int(part) for part in parts}
