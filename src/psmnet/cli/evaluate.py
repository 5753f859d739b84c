"""psmnet evaluate."""

from pathlib import Path

import rich_click as click

from psmnet.catalog import PROTOCOLS
from psmnet.cli import console
from psmnet.cli.options import (
    DATA,
    dataset_option,
    default_of,
    device_option,
    examples,
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

EXAMPLES = examples(
    "evaluate data/chaos --dataset chaos-t2 --fold 0 --out fold0.json",
    "evaluate data/chaos --dataset chaos-t2 --fold 0 --out fold0.json \\\n"
    "      --weights runs/fold0 --protocol blind --save-masks",
    "evaluate data/chaos --dataset chaos-t2 --fold 0 --out learned0.json \\\n      --weights learned --protocol cohort",
)


@click.command("evaluate", epilog=EXAMPLES)
@click.argument("data", type=DATA)
@dataset_option()
@click.option("--fold", type=int, metavar="N", required=True, help="Fold to test. Its cases are the queries.")
@click.option("--out", type=DATA, required=True, metavar="FILE", help="Results file to write (JSON).")
@setting_options(evaluate)
@click.option(
    "--protocol",
    type=click.Choice(list(PROTOCOLS)),
    metavar="NAME",
    default=default_of(evaluate, "protocol"),
    show_default=True,
    help="What the method knows about the query. ep1 (EP1): the first and the last slice of each organ. blind: "
    "nothing. cohort: for the RUN of psmnet learn. Others: ep1-labelled, ep2 (see psmnet info).",
)
@weights_option()
@click.option("--support-case", metavar="ID,...", help="Support cases (default: those that the fold names).")
@click.option(
    "--shots",
    type=click.IntRange(1),
    metavar="N",
    default=default_of(evaluate, "shots"),
    show_default=True,
    help="Number of support cases that the fold names.",
)
@click.option(
    "--allow-seen",
    is_flag=True,
    help="Go on if the weights were trained on a query or support. The scores are then too high.",
)
@method_option()
@set_option("Change a setting of the method after training, for example split_rounds=0.")
@click.option("--save-masks", is_flag=True, help="Keep the masks, in a folder beside the results.")
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
    """Score a method on one fold of the prepared folder DATA.

    A fold is a numbered part of the cases. Its cases are the queries: scans to segment. A support is a labelled scan
    from outside the fold, the example for the method. Each mask is compared with the labels of its query: Dice is
    their overlap, from 0 (none) to 1 (equal).
    """
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
