"""psmnet report."""

from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import DATA, overwrite_option
from psmnet.errors import ConfigError
from psmnet.evaluation import find_results, write_table
from psmnet.evaluation.bench import unfinished
from psmnet.report.benchmark import PAGE, gaps, label, title, write_benchmark
from psmnet.system import counted, locked, require_writable


@click.command("report")
@click.argument("results", type=DATA, nargs=-1, required=True)
@click.option("--out", type=DATA, metavar="DIR", help="Folder of the report: tables and report.html.")
@click.option("--records", type=DATA, metavar="FILE", help="Write all results to one table (.csv or .csv.gz).")
@click.option("--data", type=DATA, metavar="DIR", help="Prepared folder, to draw pictures from masks beside RESULTS.")
@click.option("--against", metavar="METHOD", help="Method to compare the others with (default: psmnet, or the best).")
@click.option("--folds", metavar="N,...", help="Use only these folds, for example 1,2,3,4.")
@click.option("--own-support", is_flag=True, help="Use only the support scan that each fold names.")
@overwrite_option("reports")
def command(
    results: tuple[Path, ...],
    out: Path | None,
    records: Path | None,
    data: Path | None,
    against: str | None,
    folds: str | None,
    own_support: bool,
    overwrite: bool,
) -> None:
    """Compare methods: write a page with tables, plots and pictures.

    RESULTS are files that psmnet evaluate or psmnet bench wrote, folders of these, or tables that --records wrote.
    The Dice score is the overlap of a mask with the labels, from 0 (none) to 1 (equal). A fold is the part of the
    cases that a result was tested on.
    """
    numbers = _numbers(folds)
    if out is None and records is None:
        raise ConfigError("nothing to write", "add --out DIR for a report, or --records FILE for a table")
    if records is not None and not records.name.endswith((".csv", ".csv.gz")):
        raise ConfigError(f"--records is {records}", "give a name that ends in .csv or .csv.gz")
    files, others = find_results(results)
    remarks = unfinished(results)
    if others:
        remarks.append(f"{counted(others, 'other JSON file')} left out")
    if records is not None:
        require_writable(records, overwrite=overwrite)
    if out is None:
        for remark in remarks:
            console.out.print(f"note: {remark}")
    else:
        with locked(out):
            sections, remarks = write_benchmark(
                files,
                out,
                data=data,
                against=against,
                folds=numbers,
                own_support=own_support,
                remarks=remarks,
                overwrite=overwrite,
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
    if records is not None:
        write_table(records, files)
        console.out.print(f"records: {records}")


def _numbers(text: str | None) -> set[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--folds is {text}", "give numbers of folds, for example 1,2,3,4")
    return {int(part) for part in parts}
