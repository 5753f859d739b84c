"""psmnet bench."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import DATA, default_of, device_option, examples
from psmnet.errors import PsmnetError
from psmnet.evaluation.bench import (
    BenchFolders,
    BenchRecipe,
    CohortRecipe,
    found_finished,
    read_recipe,
    results_done,
    run_benchmark,
    steps_done,
)
from psmnet.system import counted

LOOK_EVERY_S = 1.0

EXAMPLES = examples(
    "bench recipe.yaml data/chaos --out results",
    "bench recipe.yaml data/chaos --out results --save-masks --jobs 2",
)


@click.command("bench", epilog=EXAMPLES)
@click.argument("recipe", type=DATA, metavar="RECIPE.yaml")
@click.argument("data", type=DATA)
@click.option("--out", type=DATA, required=True, metavar="DIR", help="Folder of the results files.")
@click.option("--runs", type=DATA, metavar="DIR", help="Folder of the trainings (default: DIR/runs of --out).")
@click.option(
    "--pseudolabels",
    type=DATA,
    metavar="DIR",
    help="Folder of pseudo-labels (default: DATA). If not all are there, they are made in --runs.",
)
@click.option("--save-masks", is_flag=True, help="Keep the predicted masks, for the report's pictures.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    default=lambda: os.cpu_count(),
    help="Trainings that run at the same time (default: one per core).",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="N",
    default=default_of(run_benchmark, "threads"),
    show_default=True,
    help="CPU threads of each training.",
)
@device_option()
def command(
    recipe: Path,
    data: Path,
    out: Path,
    runs: Path | None,
    pseudolabels: Path | None,
    save_masks: bool,
    jobs: int,
    threads: int,
    device: str,
) -> None:
    """Train and score methods as the file RECIPE.yaml lists them, on the prepared folder DATA.

    A cell is one method on one fold (the part of the cases that is tested) with one random seed. Run the command again
    to continue: finished results and trainings are kept.
    """
    plan = read_recipe(recipe)
    folders = BenchFolders(data, out, runs or out / "runs", save_masks, pseudolabels)
    before = found_finished(plan, folders)
    console.out.print(
        f"found finished: {before.results} of {before.all_results} results in {out}, "
        f"{before.trainings} of {before.all_trainings} trainings in {folders.runs}"
    )
    failed: dict[str, PsmnetError] = {}
    files: set[Path] = set()
    with _watched(plan, folders) as note:
        for task, result in run_benchmark(plan, folders, jobs=jobs, threads=threads, device=device):
            if isinstance(result, PsmnetError):
                failed[task.title()] = result
            else:
                files.update(result)
            console.say(f"{'failed' if isinstance(result, PsmnetError) else 'finished'}: {task.title()}")
            note(task.title())
    console.out.print(f"results: {counted(len(files), 'file')} in {out}")
    if before.results == before.all_results:
        console.out.print("all results already exist; to make new ones, choose another --out folder")
    console.fail_on(failed, "fix or remove them, then run again (finished cells are kept)", what="cell")
    console.out.print(f"next: psmnet report {out}{f' --data {data}' if save_masks else ''} --out report")


@contextmanager
def _watched(recipe: BenchRecipe | CohortRecipe, folders: BenchFolders) -> Iterator[Callable[[str], None]]:
    """A bar of training steps and a count of results, both read from the files that other processes write."""
    done, total = steps_done(recipe, folders)
    last, over = "", threading.Event()
    with console.progress("training steps", total) as advance:

        def look() -> None:
            while not over.wait(LOOK_EVERY_S):
                results, planned = results_done(folders.out)
                advance(steps_done(recipe, folders)[0], f"{results} of {planned} results {last}")

        def note(finished: str) -> None:
            nonlocal last
            last = finished

        watcher = threading.Thread(target=look, daemon=True)
        advance(done)
        watcher.start()
        try:
            yield note
        finally:
            over.set()
            watcher.join()
