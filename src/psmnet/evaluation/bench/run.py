"""A benchmark: every training of a recipe, and every score of each; what is finished is never done again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from psmnet.catalog import dataset
from psmnet.data import Case, Split, find_cases, read_dataset_file, split_data
from psmnet.data.pseudolabels import PseudolabelRule, PseudolabelStore
from psmnet.errors import InputError, PsmnetError, require
from psmnet.evaluation import evaluate, masks_folder
from psmnet.evaluation.bench.cohort_recipe import CohortRecipe
from psmnet.evaluation.bench.cohort_run import require_learnings_possible, run_learning
from psmnet.evaluation.bench.cohort_tasks import CohortTask, cohort_tasks, line_count
from psmnet.evaluation.bench.finished import is_finished
from psmnet.evaluation.bench.plan import add_to_plan
from psmnet.evaluation.bench.recipe import BenchRecipe, BenchTask, MethodEntry, Scoring
from psmnet.models import WEIGHTS_NAME, build_model, changed, load_torchvision
from psmnet.runtime import pick_device
from psmnet.segmentation import load_comparing
from psmnet.system import map_cases, require_writable, write_json
from psmnet.training import METRICS_NAME, run_training


@dataclass(frozen=True)
class BenchFolders:
    """Where a benchmark reads and writes.

    Attributes:
        data: folder in the normalised layout.
        out: results files, `<dataset>/<setting>/<protocol>/<method>/fold<F>_seed<S>.json`.
        runs: trainings, `<dataset>/<setting>/<method>/fold<F>_seed<S>`, and pseudo-labels that `data` lacks.
        save_masks: keep predictions beside the results.
        pseudolabels: where pseudo-labels lie, if not in `data`; where not all are there, all are made in `runs`.
    """

    data: Path
    out: Path
    runs: Path
    save_masks: bool = False
    pseudolabels: Path | None = None


@dataclass(frozen=True)
class Progress:
    """What of a benchmark is there, and how much there will be.

    Attributes:
        results, all_results: results files.
        trainings, all_trainings: finished trainings.
    """

    results: int
    all_results: int
    trainings: int
    all_trainings: int


def run_benchmark(
    recipe: BenchRecipe | CohortRecipe,
    folders: BenchFolders,
    *,
    jobs: int = 1,
    threads: int | None = 1,
    device: str = "auto",
) -> Iterator[tuple[BenchTask | CohortTask, list[Path] | PsmnetError]]:
    """Train and score what a recipe wants and is not there yet.

    A killed benchmark goes on where it was: trainings from their last checkpoint, scores from the first missing.

    Args:
        recipe: what to train and score.
        folders: data and outputs.
        jobs: trainings at the same time, each in a process of its own.
        threads: CPU threads of each; None for all.
        device: where to train and score.

    Yields:
        each task with its results files, or with what went wrong in it; the others go on.

    Raises:
        ConfigError: the recipe names a fold or setting that the data does not have.
    """
    if isinstance(recipe, CohortRecipe):
        yield from _run_cohort(recipe, folders, jobs, threads, device)
        return
    cases = find_cases(folders.data)
    work = list(recipe.tasks())
    if folders.pseudolabels is not None and not folders.pseudolabels.is_dir():
        raise InputError(f"no folder {folders.pseudolabels}", "make the pseudo-labels first", code="pseudolabels")
    _require_possible(work, cases, folders, device)
    add_to_plan(
        folders.out, (path for task in work for path in _files(task, folders, _split(task, cases).support).values())
    )
    for kind in sorted({task.entry.kind for task in work if task.seed is not None}):
        store = _pseudolabels(kind, recipe.dataset, folders, cases)
        _, failed = store.write(cases, jobs=jobs)
        for error in failed.values():
            raise error
    yield from map_cases(partial(_run, folders, threads, device), work, jobs=jobs)


def steps_done(recipe: BenchRecipe | CohortRecipe, folders: BenchFolders) -> tuple[int, int]:
    """Training steps done and wanted, over all trainings of a recipe; for a progress bar."""
    if isinstance(recipe, CohortRecipe):
        learnings = cohort_tasks(recipe, folders.data)
        return sum(task.steps_done(folders.runs) for task in learnings), sum(task.steps for task in learnings)
    trainings = {task.run_folder(folders.runs): task for task in recipe.tasks() if task.entry.is_trained}
    done = sum(line_count(folder / METRICS_NAME) for folder in trainings)
    return done, sum(task.spec().recipe().train.steps for task in trainings.values())


def found_finished(recipe: BenchRecipe | CohortRecipe, folders: BenchFolders) -> Progress:
    """What an earlier run left: nothing of it is done again."""
    if isinstance(recipe, CohortRecipe):
        learnings = cohort_tasks(recipe, folders.data)
        files = {path for task in learnings for path in task.results_files(folders.out).values()}
        runs = {task.run_folder(folders.runs) for task in learnings}
    else:
        cases = find_cases(folders.data)
        work = list(recipe.tasks())
        files = {path for task in work for path in _files(task, folders, _split(task, cases).support).values()}
        runs = {task.run_folder(folders.runs) for task in work if task.entry.is_trained}
    finished = sum((run / WEIGHTS_NAME).exists() for run in runs)
    return Progress(sum(path.exists() for path in files), len(files), finished, len(runs))


def _require_possible(work: Sequence[BenchTask], cases: list[Case], folders: BenchFolders, device: str) -> None:
    """Say before hours of work what can't be done: a device, fold, method or setting that is not there, no room."""
    pick_device(device)
    for task in work:
        _split(task, cases)
        for row in task.rows:
            if task.seed is None:
                load_comparing(row.method, row.weights, row.after or row.set)
            else:
                changed(task.spec().recipe().model, None, row.after)
    for folder in (folders.out, folders.runs):
        require_writable(folder / "results")
    trained = next((task.spec() for task in work if task.seed is not None), None)
    if trained is not None and trained.encoder_weights is not None:
        model = build_model(trained.recipe().model)
        load_torchvision(model, trained.encoder_weights, trained.encoder_sha256, folders.runs)


def _run_cohort(
    recipe: CohortRecipe, folders: BenchFolders, jobs: int, threads: int | None, device: str
) -> Iterator[tuple[CohortTask, list[Path] | PsmnetError]]:
    require(
        folders.pseudolabels is None,
        "pseudo-labels for a recipe of learning from a cohort, which makes its own",
        "leave them out",
        code="cohort-pseudolabels",
    )
    tasks = cohort_tasks(recipe, folders.data)
    require_learnings_possible(tasks, folders.data, device)
    for folder in (folders.out, folders.runs):
        require_writable(folder / "results")
    add_to_plan(folders.out, (path for task in tasks for path in task.results_files(folders.out).values()))
    yield from map_cases(partial(_learn, folders, threads, device), tasks, jobs=jobs)


def _learn(folders: BenchFolders, threads: int | None, device: str, task: CohortTask) -> list[Path]:
    """One learning, unless it is there, and each of its scores that is not."""
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        return run_learning(
            task,
            folders.data,
            folders.out,
            folders.runs,
            save_masks=folders.save_masks,
            threads=threads,
            device=device,
        )
    except PsmnetError:
        raise
    except Exception as error:  # whatever it is, the other cells go on
        what = f"{task.title()}: {type(error).__name__}: {error}"
        raise InputError(what, "run it with psmnet learn to see more") from error


def _run(folders: BenchFolders, threads: int | None, device: str, task: BenchTask) -> list[Path]:
    """One task: its training, unless that is there, and each of its scores that is not."""
    try:
        return _train_and_score(folders, threads, device, task)
    except PsmnetError:
        raise
    except Exception as error:  # whatever it is, the other cells go on
        what = f"{task.title()}: {type(error).__name__}: {error}"
        raise InputError(what, "run only this cell with psmnet train and evaluate to see more") from error


def _train_and_score(folders: BenchFolders, threads: int | None, device: str, task: BenchTask) -> list[Path]:
    if threads is not None:
        torch.set_num_threads(threads)
    cases = find_cases(folders.data)
    supports = _split(task, cases).support
    files = _files(task, folders, supports)
    checksums = {case.id: case.checksum() for case in cases}
    missing = [cell for cell, path in files.items() if not _is_there(path, task, cell[1], cases, checksums, folders)]
    if not missing:
        return list(files.values())
    weights: str | Path | None = task.entry.weights
    if task.seed is not None:
        weights = task.run_folder(folders.runs)
        run_training(
            task.spec(),
            task.run_folder(folders.runs),
            data=folders.data,
            pseudolabels=_pseudolabels(task.entry.kind, task.recipe.dataset, folders, cases).folder,
            device=pick_device(device),
            downloads=folders.runs,
            resume=True,
        )
    for row, score in missing:
        path = files[row, score]
        results = evaluate(
            load_comparing(row.method, weights, row.set if weights is None else row.after),
            cases,
            dataset_name=task.recipe.dataset,
            fold=task.fold,
            protocol=score.protocol,
            folds=task.recipe.scheme,
            institution=task.recipe.institution,
            setting=task.setting.setting,
            group=task.setting.group,
            support_ids=[score.support] if score.support else None,
            shots=score.shots,
            device=pick_device(device),
            masks=masks_folder(path) if folders.save_masks else None,
        )
        write_json(path, results)
    return list(files.values())


def _files(
    task: BenchTask, folders: BenchFolders, supports: tuple[str, ...]
) -> dict[tuple[MethodEntry, Scoring], Path]:
    """Where each of a task's scores goes."""
    return {
        (row, score): task.results_file(folders.out, row, score) for row in task.rows for score in task.scores(supports)
    }


def _pseudolabels(kind: str, dataset_name: str, folders: BenchFolders, cases: list[Case]) -> PseudolabelStore:
    """The pseudo-labels that were given, or the data's own, if all are there; else those beside the trainings."""
    rule = PseudolabelRule.of(dataset(dataset_name), kind)  # type: ignore[arg-type]  # a recipe has only kinds there are
    for folder in filter(None, (folders.pseudolabels, folders.data)):
        store = PseudolabelStore(folder, rule)
        if len(store.current(cases)) == len(cases):
            return store
    return PseudolabelStore(folders.runs / dataset_name / "pseudolabels", rule)


def _split(task: BenchTask, cases: list[Case]) -> Split:
    """Queries of a task, the support cases that it keeps out of training, and what it trains on."""
    facts, recipe = dataset(task.recipe.dataset), task.recipe
    prepared = read_dataset_file(cases[0].image_path.parent)
    return split_data(
        facts,
        cases,
        prepared,
        task.fold,
        recipe.support_cases,
        folds=recipe.scheme,
        institution=recipe.institution,
    )


def _is_there(
    path: Path, task: BenchTask, scoring: Scoring, cases: list[Case], checksums: dict[str, str], folders: BenchFolders
) -> bool:
    """Whether the results of this very cell are finished, with its masks if they are wanted."""
    kept = masks_folder(path).is_dir() or not folders.save_masks
    return is_finished(path, task, scoring, _split(task, cases), checksums) and kept
