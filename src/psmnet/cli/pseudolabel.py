"""psmnet pseudolabel."""

from pathlib import Path

import rich_click as click

from psmnet.catalog import dataset as facts_of
from psmnet.cli import console
from psmnet.cli.options import (
    DATA,
    dataset_option,
    default_of,
    jobs_option,
    kind_option,
    legacy_names,
    legacy_option,
)
from psmnet.data import find_cases
from psmnet.data.pseudolabels import Kind, PseudolabelRule, PseudolabelStore
from psmnet.errors import ConfigError
from psmnet.report import draw_previews
from psmnet.system import counted, locked

FAULTS = ("superpixel-ids",)


@click.command("pseudolabel")
@click.argument("data", type=DATA)
@dataset_option()
@kind_option(default_of(PseudolabelRule, "kind"))
@click.option("--out", type=DATA, metavar="DIR", help="Folder to write to (default: DATA).")
@legacy_option(FAULTS)
@click.option("--preview", is_flag=True, help="Draw a picture of each case, in DIR/preview.")
@jobs_option()
def command(
    data: Path, dataset: str, kind: Kind, out: Path | None, legacy: str | None, preview: bool, jobs: int
) -> None:
    """Make pseudo-labels for every scan in the prepared folder DATA.

    Pseudo-labels are parts of similar brightness. Training learns from them in place of organs, so that it needs no
    labels. Those that already exist are kept.
    """
    names = legacy_names(legacy, FAULTS)
    if unknown := set(names) - set(FAULTS):
        raise ConfigError(f"{min(unknown)!r} is not a known bug of pseudo-labels", f"give --legacy {', '.join(FAULTS)}")
    rule = PseudolabelRule.of(facts_of(dataset), kind, faulty_ids="superpixel-ids" in names)
    cases = find_cases(data)
    store = PseudolabelStore(out or data, rule)
    with locked(store.folder):
        with console.progress(kind, len(cases)) as advance:
            made, failed = store.write(cases, jobs=jobs, report=advance)
        whole = [case for case in cases if case.id not in failed]
        if preview and whole:
            with console.progress("pictures", len(whole)) as advance:
                pictures = draw_previews(whole, store, jobs=jobs, report=advance)
            console.out.print(f"pictures: {pictures}")
    console.out.print(f"{kind} of {counted(len(whole), 'case')} ({made} made now): {store.folder}")
    console.fail_on(failed, "fix these and run the command again (the others are kept)")
