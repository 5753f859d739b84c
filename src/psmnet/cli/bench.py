"""psmnet bench."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import DATA, device_option
from psmnet.errors import PsmnetError
from psmnet.evaluation.bench import BenchPlaces, Recipe, read_recipe, results_done, run_benchmark, steps_done

LOOK_EVERY_S = 1.0


@click.command("bench")
@click.argument("recipe", type=DATA, metavar="RECIPE.yaml")
@click.argument("data", type=DATA)
@click.option("--out", type=DATA, required=True, metavar="DIR", help="Where results files go.")
@click.option("--runs", type=DATA, metavar="DIR", help="Where trainings go; DIR/runs of --out by default.")
@click.option("--save-masks", is_flag=True, help="Keep predictions beside the results, for the report's pictures.")
@click.option("--jobs", type=click.IntRange(1), default=lambda: os.cpu_count(), help="Trainings at the same time.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads of each.")
@device_option()
def command(
    recipe: Path,
    data: Path,
    out: Path,
    runs: Path | None,
    save_masks: bool,
    jobs: int,
    threads: int,
    device: str,
) -> None:
    """Train and score every cell of a recipe; what is finished is kept, what was cut short goes on."""
    asked = read_recipe(recipe)
    places = BenchPlaces(data, out, runs or out / "runs", save_masks)
    failed: dict[str, PsmnetError] = {}
    files: set[Path] = set()
    with _watched(asked, places) as note:
        for job, result in run_benchmark(asked, places, jobs=jobs, threads=threads, device=device):
            if isinstance(result, PsmnetError):
                failed[job.title()] = result
            else:
                files.update(result)
            console.say(f"{'failed' if isinstance(result, PsmnetError) else 'finished'}: {job.title()}")
            note(job.title())
    console.out.print(f"results: {len(files)} files in {out}")
    console.fail_on(failed, "mend or leave them out, then run again: what is finished is kept", what="cell")
    console.out.print(f"next: psmnet report {out}{f' --data {data}' if save_masks else ''} --out report")


@contextmanager
def _watched(recipe: Recipe, places: BenchPlaces) -> Iterator[Callable[[str], None]]:
    """A bar of training steps, and a count of results, both by the files that other processes write."""
    done, total = steps_done(recipe, places)
    last, over = "", threading.Event()
    with console.progress("training steps", total) as advance:

        def look() -> None:
            while not over.wait(LOOK_EVERY_S):
                results, asked = results_done(places.out)
                advance(steps_done(recipe, places)[0], f"{results} of {asked} results {last}")

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
