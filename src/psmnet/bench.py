"""A benchmark: every training of a recipe, and every score of each; what is finished is never done again."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from psmnet import protocols
from psmnet.catalog import METHODS, dataset
from psmnet.data.dataset_file import read_dataset_file
from psmnet.data.pseudolabel_store import PseudolabelStore
from psmnet.data.pseudolabels import PseudolabelRule
from psmnet.data.store import Case, find_cases
from psmnet.errors import ConfigError, PsmnetError
from psmnet.evaluation import evaluate
from psmnet.files import read_json, write_json
from psmnet.parallel import map_cases
from psmnet.predictors import load_method
from psmnet.recipe import Job, Recipe
from psmnet.results import masks_folder
from psmnet.run import run_training
from psmnet.runtime import pick_device
from psmnet.training import METRICS_NAME


@dataclass(frozen=True)
class BenchPlaces:
    """Where a benchmark reads and writes.

    Attributes:
        data: folder in the normalised layout.
        out: results files, `<dataset>/<setting>/<protocol>/<method>/fold<F>_seed<S>.json`.
        runs: trainings, `<dataset>/<setting>/<method>/fold<F>_seed<S>`, and pseudo-labels that `data` lacks.
        save_masks: keep predictions beside the results.
    """

    data: Path
    out: Path
    runs: Path
    save_masks: bool = False


def run_benchmark(
    recipe: Recipe, places: BenchPlaces, *, jobs: int = 1, threads: int | None = 1, device: str = "auto"
) -> Iterator[tuple[Job, list[Path] | PsmnetError]]:
    """Train and score all that a recipe asks for and that is not there yet.

    A killed benchmark goes on where it was: trainings from their last checkpoint, scores from the first missing.

    Args:
        recipe: what is asked for.
        places: data and outputs.
        jobs: trainings at the same time, each in a process of its own.
        threads: CPU threads of each; None for all.
        device: where to train and score.

    Yields:
        each job with its results files, or with what went wrong in it; the others go on.

    Raises:
        ConfigError: the recipe asks for a fold or setting that the data does not have.
    """
    pick_device(device)  # one that is not there is said first
    cases = find_cases(places.data)
    work = list(recipe.jobs())
    for job in work:  # a fold, method or setting that is not there is said before anything is trained
        _supports(job, cases)
        if job.seed is not None:
            job.spec().recipe()
    for kind in sorted({job.entry.kind for job in work if job.seed is not None}):
        store = _pseudolabels(kind, recipe.dataset, places, cases)
        _, failed = store.write(cases, jobs=jobs)
        for error in failed.values():
            raise error
    yield from map_cases(partial(_run, places, threads, device), work, jobs=jobs)


def steps_done(recipe: Recipe, places: BenchPlaces) -> tuple[int, int]:
    """Training steps done and wanted, over all trainings of a recipe; for a progress bar."""
    folders = {job.run_folder(places.runs): job for job in recipe.jobs() if METHODS[job.entry.method].trained}
    done = 0
    for folder in folders:
        path = folder / METRICS_NAME
        if path.exists():
            with path.open("rb") as lines:
                done += sum(1 for _ in lines)
    return done, sum(job.spec().recipe().train.steps for job in folders.values())


def _run(places: BenchPlaces, threads: int | None, device: str, job: Job) -> list[Path]:
    """One job: its training, unless that is there, and each of its scores that is not."""
    if threads is not None:
        torch.set_num_threads(threads)
    cases = find_cases(places.data)
    scores = job.scores(_supports(job, cases))
    files = {score: job.results_file(places.out, score) for score in scores}
    missing = [score for score in scores if not _finished(files[score], job)]
    if not missing:
        return list(files.values())
    weights = None
    if METHODS[job.entry.method].trained:
        weights = job.run_folder(places.runs)
        run_training(
            job.spec(),
            weights,
            data=places.data,
            pseudolabels=_pseudolabels(job.entry.kind, job.recipe.dataset, places, cases).folder,
            device=pick_device(device),
            resume=True,
        )
    changes = job.entry.after if weights else job.entry.set
    method = load_method(job.entry.method, weights, changes)
    for score in missing:
        path = files[score]
        results = evaluate(
            method,
            cases,
            dataset_name=job.recipe.dataset,
            fold=job.fold,
            protocol=score.protocol,
            folds=job.recipe.scheme,
            setting=job.setting.setting,
            group=job.setting.group,
            support_ids=[score.support] if score.support else None,
            shots=score.shots,
            device=pick_device(device),
            masks=masks_folder(path) if places.save_masks else None,
        )
        write_json(path, results)
    return list(files.values())


def _pseudolabels(kind: str, dataset_name: str, places: BenchPlaces, cases: list[Case]) -> PseudolabelStore:
    """The data's own pseudo-labels if it has all of them, else those beside the trainings."""
    rule = PseudolabelRule.of(dataset(dataset_name), kind)  # type: ignore[arg-type]  # a recipe has only kinds there are
    own = PseudolabelStore(places.data, rule)
    if len(own.current(cases)) == len(cases):
        return own
    return PseudolabelStore(places.runs / dataset_name / "pseudolabels", rule)


def _supports(job: Job, cases: list[Case]) -> tuple[str, ...]:
    """Ids of the support cases that a job keeps out of training."""
    facts, recipe = dataset(job.recipe.dataset), job.recipe
    prepared = read_dataset_file(cases[0].image_path.parent)
    return protocols.split_data(
        facts, cases, prepared, job.fold, recipe.support_cases, folds=recipe.scheme
    ).support


def _finished(path: Path, job: Job) -> bool:
    """Whether a results file is there, and of this very job.

    Raises:
        ConfigError: it is of another training.
    """
    if not path.exists():
        return False
    found = read_json(path)
    trained = (found.get("provenance") or {}).get("trained_on")
    if trained is None:
        return True
    spec, recipe = job.spec(), job.spec().recipe()
    wanted = {
        "steps": recipe.train.steps,
        "precision": recipe.train.precision,
        "preset": spec.preset,
        "seed": spec.seed,
        "pseudolabels": spec.kind,
        "folds": spec.folds,
    }
    for name, value in wanted.items():
        if trained.get(name) != value:
            raise ConfigError(
                f"{path} is of a training with {name} {trained.get(name)}, not {value}", "choose another --out"
            )
    return True
