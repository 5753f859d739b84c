"""A benchmark: every training of a recipe, and every score of each; what is finished is never done again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from psmnet.catalog import METHODS, dataset
from psmnet.data import Case, Split, find_cases, read_dataset_file, split_data
from psmnet.data.pseudolabels import PseudolabelRule, PseudolabelStore
from psmnet.errors import ConfigError, InputError, PsmnetError
from psmnet.evaluation import evaluate, masks_folder
from psmnet.evaluation.bench.plan import add_to_plan
from psmnet.evaluation.bench.recipe import Job, MethodEntry, Recipe, Score
from psmnet.models import changed, find_weights
from psmnet.runtime import pick_device
from psmnet.segmentation import load_method
from psmnet.system import map_cases, read_json, require_writable, sha256_of, write_json
from psmnet.training import METRICS_NAME, run_training


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
    cases = find_cases(places.data)
    work = list(recipe.jobs())
    _require_possible(work, cases, places, device)
    add_to_plan(places.out, (path for job in work for path in _files(job, places, _split(job, cases).support).values()))
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


def _require_possible(work: Sequence[Job], cases: list[Case], places: BenchPlaces, device: str) -> None:
    """Say before hours of work what can't be done: a device, fold, method or setting that is not there, no room."""
    pick_device(device)
    for job in work:
        _split(job, cases)
        if job.seed is None:
            load_method(job.entry.method, None, job.entry.set)
        for row in job.rows if job.seed is not None else ():
            changed(job.spec().recipe().model, None, row.after)
    for folder in (places.out, places.runs):
        require_writable(folder / "results")


def _run(places: BenchPlaces, threads: int | None, device: str, job: Job) -> list[Path]:
    """One job: its training, unless that is there, and each of its scores that is not."""
    try:
        return _train_and_score(places, threads, device, job)
    except PsmnetError:
        raise
    except Exception as error:  # whatever it is, the other cells go on
        what = f"{job.title()}: {type(error).__name__}: {error}"
        raise InputError(what, "run this cell alone with psmnet train and evaluate to see more") from error


def _train_and_score(places: BenchPlaces, threads: int | None, device: str, job: Job) -> list[Path]:
    if threads is not None:
        torch.set_num_threads(threads)
    cases = find_cases(places.data)
    supports = _split(job, cases).support
    files = _files(job, places, supports)
    checksums = {case.id: case.checksum() for case in cases}
    missing = [cell for cell, path in files.items() if not _finished(path, job, cell[1], cases, checksums, places)]
    if not missing:
        return list(files.values())
    weights = None
    if job.seed is not None:
        weights = job.run_folder(places.runs)
        run_training(
            job.spec(),
            weights,
            data=places.data,
            pseudolabels=_pseudolabels(job.entry.kind, job.recipe.dataset, places, cases).folder,
            device=pick_device(device),
            resume=True,
        )
    for row, score in missing:
        path = files[row, score]
        results = evaluate(
            load_method(row.method, weights, row.after if weights else row.set),
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


def _files(job: Job, places: BenchPlaces, supports: tuple[str, ...]) -> dict[tuple[MethodEntry, Score], Path]:
    """Where each of a job's scores goes."""
    return {
        (row, score): job.results_file(places.out, row, score) for row in job.rows for score in job.scores(supports)
    }


def _pseudolabels(kind: str, dataset_name: str, places: BenchPlaces, cases: list[Case]) -> PseudolabelStore:
    """The data's own pseudo-labels if it has all of them, else those beside the trainings."""
    rule = PseudolabelRule.of(dataset(dataset_name), kind)  # type: ignore[arg-type]  # a recipe has only kinds there are
    own = PseudolabelStore(places.data, rule)
    if len(own.current(cases)) == len(cases):
        return own
    return PseudolabelStore(places.runs / dataset_name / "pseudolabels", rule)


def _split(job: Job, cases: list[Case]) -> Split:
    """Queries of a job, the support cases that it keeps out of training, and what it trains on."""
    facts, recipe = dataset(job.recipe.dataset), job.recipe
    prepared = read_dataset_file(cases[0].image_path.parent)
    return split_data(facts, cases, prepared, job.fold, recipe.support_cases, folds=recipe.scheme)


def _finished(
    path: Path, job: Job, score: Score, cases: list[Case], checksums: dict[str, str], places: BenchPlaces
) -> bool:
    """Whether a results file is there, whole, of this very cell, with its masks where they are asked for.

    Raises:
        ConfigError: it is of another training, of other scans or supports.
    """
    if not path.exists():
        return False
    try:
        found = read_json(path)
    except InputError:  # a damaged one is made again, as one that was cut short
        return False
    spec, split = job.spec(), _split(job, cases)
    supports = (score.support,) if score.support else split.support[: score.shots]
    wanted: dict[str, Any] = {
        "folds": spec.folds,
        "checksums": {case: checksums[case] for case in (*split.test, *supports)},
    }
    try:
        said = {"folds": found["folds"], "checksums": found["provenance"]["checksums"]}
        if job.seed is not None:
            train = spec.recipe().train
            wanted |= {"cases": {case: checksums[case] for case in split.train}, "steps": train.steps}
            wanted |= {"precision": train.precision, "preset": spec.preset, "seed": spec.seed}
            wanted["init"] = None if spec.init is None else sha256_of(find_weights(spec.init))
            wanted |= {"pseudolabels": spec.kind, "setting2": spec.setting2 if spec.setting == 2 else None}
            said |= {name: found["provenance"]["trained_on"][name] for name in wanted if name not in said}
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a results file of psmnet", "move it away, or choose another folder", code="out-move"
        ) from error
    for name, value in wanted.items():
        if said[name] != value:
            what = f"with {name} {said[name]}, not {value}"
            if name in ("checksums", "cases"):
                what = "of scans with other content"
                if set(said[name]) != set(value):
                    use = "training" if name == "cases" else "use"
                    what = (
                        f"with case {', '.join(said[name])} in {use}, not {', '.join(value)} (another support_cases?)"
                    )
            raise ConfigError(f"{path} was made {what}", "choose another folder", code="out")
    return masks_folder(path).is_dir() or not places.save_masks
