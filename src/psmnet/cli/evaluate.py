"""psmnet evaluate."""

from pathlib import Path

import rich_click as click

from psmnet.catalog import PROTOCOLS
from psmnet.cli import console
from psmnet.cli.options import (
    DATA,
    dataset_option,
    device_option,
    method_option,
    overwrite_option,
    set_option,
    set_threads,
    setting_options,
    threads_option,
    weights_option,
)
from psmnet.data import find_cases
from psmnet.evaluation import evaluate, masks_folder
from psmnet.report import results_table
from psmnet.runtime import pick_device
from psmnet.segmentation import load_method
from psmnet.system import require_writable, write_json


@click.command("evaluate")
@click.argument("data", type=DATA)
@dataset_option()
@click.option("--fold", type=int, required=True, help="Its cases are the queries.")
@setting_options()
@click.option("--protocol", type=click.Choice(list(PROTOCOLS)), default="ep1", show_default=True)
@weights_option()
@click.option("--out", type=DATA, required=True, metavar="FILE", help="Results as JSON.")
@click.option("--support-case", metavar="ID[,ID]", help="Support cases instead of the fold's own.")
@click.option(
    "--shots", type=click.IntRange(1), default=1, show_default=True, help="Support cases that the fold names."
)
@click.option("--allow-seen", is_flag=True, help="Go on where training saw a test or support case; the result says so.")
@method_option()
@set_option("Change the model after training, as in split_rounds=0.")
@click.option("--save-masks", is_flag=True, help="Keep predictions in a folder beside the results.")
@overwrite_option("results")
@device_option()
@threads_option()
def command(
    data: Path,
    dataset: str,
    fold: int,
    folds: str,
    institution: str | None,
    setting: int,
    group: str | None,
    protocol: str,
    weights: str | None,
    out: Path,
    support_case: str | None,
    shots: int,
    allow_seen: bool,
    method: str | None,
    changes: tuple[str, ...],
    save_masks: bool,
    overwrite: bool,
    device: str,
    threads: int | None,
) -> None:
    """Score a method on one fold of DATA and write a results file."""
    set_threads(threads)
    require_writable(out, overwrite=overwrite)
    cases = find_cases(data)
    with console.progress("queries", None) as advance:
        done = 0

        def report(case_id: str) -> None:
            nonlocal done
            done += 1
            advance(done, case_id)

        results = evaluate(
            load_method(method, weights, changes),
            cases,
            dataset_name=dataset,
            fold=fold,
            protocol=protocol,
            folds=folds,
            institution=institution,
            setting=setting,
            group=group,
            support_ids=support_case.split(",") if support_case else None,
            shots=shots,
            allow_seen=allow_seen,
            device=pick_device(device),
            masks=masks_folder(out) if save_masks else None,
            report=report,
        )
    write_json(out, results)
    console.out.print(results_table(results))
    console.out.print(results["provenance"]["note"])
    console.out.print(f"results: {out}")
