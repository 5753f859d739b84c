"""psmnet pseudolabel."""

from pathlib import Path

import rich_click as click

from psmnet.catalog import dataset as facts_of
from psmnet.cli import console
from psmnet.cli.options import DATA, dataset_option
from psmnet.data.pseudolabel_store import write_superpixels
from psmnet.data.store import find_cases
from psmnet.lock import locked


@click.command("pseudolabel")
@click.argument("data", type=DATA)
@dataset_option()
@click.option("--out", type=DATA, metavar="DIR", help="Where to write; DATA by default.")
def command(data: Path, dataset: str, out: Path | None) -> None:
    """Make superpixels of every scan in DATA; those that are there already are kept."""
    facts = facts_of(dataset)
    cases = find_cases(data)
    folder = out or data
    done = 0
    with locked(folder), console.progress("superpixels", len(cases)) as advance:

        def report(case_id: str) -> None:
            nonlocal done
            done += 1
            advance(done, case_id)

        made = write_superpixels(cases, folder, facts.body_threshold, report)
    console.out.print(f"superpixels of {len(cases)} cases ({made} made now): {folder}")
