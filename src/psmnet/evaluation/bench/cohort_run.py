"""A benchmark of learning from a cohort: every learning of a recipe, and every score of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from psmnet.catalog import dataset
from psmnet.data import choose, find_cases, read_dataset_file, tested_organs, without_257th
from psmnet.errors import InputError, LeakageError
from psmnet.evaluation import masks_folder
from psmnet.evaluation.bench.cohort_cases import LearningCases, learning_cases
from psmnet.evaluation.bench.cohort_learning import LearningInputs, StageMasks, learn_stages
from psmnet.evaluation.bench.cohort_tasks import CohortTask, is_there
from psmnet.evaluation.cohort_results import LearnedFrom, cohort_results
from psmnet.evaluation.evaluator import seen_cases
from psmnet.io import read_labels
from psmnet.learning import STAGES
from psmnet.models import find_weights, load_weights
from psmnet.runtime import pick_device
from psmnet.system import sha256_of, write_json

UNTRAINED = STAGES[:2]  # first masks and vote need no learned network


def require_learnings_possible(tasks: Sequence[CohortTask], data: Path, device: str) -> None:
    """Say before hours of work what can't be done.

    Raises:
        ConfigError: no such device or setting.
        LeakageError: the weights of the first masks were trained on a query.
        InputError: the weights can't be read.
    """
    pick_device(device)
    for task in tasks:
        task.settings()
    weights = load_weights(tasks[0].recipe.weights)
    queries = choose(find_cases(data), dict.fromkeys(case for task in tasks for case in task.learning.queries))
    checksums = {case.id: case.checksum() for case in queries}
    if seen := seen_cases(weights.trained_on, tasks[0].recipe.dataset, checksums):
        raise LeakageError(f"the weights were trained on case {', '.join(seen)}", "use other weights")


def run_learning(
    task: CohortTask,
    data: Path,
    out: Path,
    runs: Path,
    *,
    save_masks: bool = False,
    threads: int | None = None,
    device: str = "auto",
    learn: Callable[[LearningInputs, Path], StageMasks] = learn_stages,
) -> list[Path]:
    """Do a learning, unless it is there, and score what is not scored.

    Args:
        task: which.
        data: folder of the cases.
        out: folder of the results.
        runs: folder of the trainings.
        save_masks: keep the masks of each organ beside the results.
        threads: CPU threads; None for torch's default.
        device: by name.
        learn: that does it in a folder, and goes on if the folder holds an unfinished learning.

    Returns:
        The results files.

    Raises:
        PsmnetError: a scan, the weights or a folder can't be used, or results are of another learning.
    """
    cases, files = find_cases(data), task.results_files(out)
    used = learning_cases(task.learning, cases)
    checksums = {case.id: case.checksum() for case in cases}
    missing = [
        cell
        for cell, path in files.items()
        if not is_there(path, task, cell[1], used, checksums) or (save_masks and not masks_folder(path).is_dir())
    ]
    if not missing:
        return list(files.values())
    prepared, facts = read_dataset_file(data), dataset(task.recipe.dataset)
    present = sorted({int(v) for case in used.supports for v in np.unique(case.labels().array_zyx)} - {0})
    organs = tested_organs(facts, 1, None, present, prepared.names() if prepared else {})
    known = {name: value for name, value in organs.items() if value in present}
    if not known:
        raise InputError(f"{task.title()}: the labelled scans have none of the tested organs", "choose others")
    inputs = LearningInputs(
        supports=used.supports,
        cohort={case.id: case.image_path for case in used.cohort},
        left_out={case.id: case.image_path for case in used.left_out},
        values=tuple(sorted(known.values())),
        settings=task.settings(),
        weights=task.recipe.weights,
        device=device,
        threads=threads,
    )
    stages = learn(inputs, task.run_folder(runs))
    learned = _learned_from(task, used, inputs, stages, checksums)
    for stage, scoring in missing:
        path = files[stage, scoring]
        queries = [case for case in used.queries if case.id in scoring.queries]
        files_of_stage = stages.masks.get(stage, {})
        wanted = [query.id for query in queries if query.id in files_of_stage]
        masks = {case: without_257th(read_labels(files_of_stage[case])) for case in wanted}
        results = cohort_results(
            replace(
                learned,
                variant=task.learning.entry.variant(*task.learning.row(stage)),
                weights_sha256=None if stage in UNTRAINED else sha256_of(stages.weights),
            ),
            masks,
            queries,
            organs,
            known,
            dataset_name=task.recipe.dataset,
            prepared=prepared,
            folds=task.recipe.scheme,
            fold=scoring.fold,
            own_support=scoring.support is None,
            device=str(pick_device(device)),
            keep=masks_folder(path) if save_masks else None,
        )
        write_json(path, results)
    return list(files.values())


def _learned_from(
    task: CohortTask,
    used: LearningCases,
    inputs: LearningInputs,
    stages: StageMasks,
    checksums: Mapping[str, str],
) -> LearnedFrom:
    return LearnedFrom(
        method=task.learning.entry.method,
        variant=None,
        supports={case.id: checksums[case.id] for case in used.supports},
        cohort={case.id: checksums[case.id] for case in used.cohort},
        settings=task.recorded_settings(),
        steps=task.steps,
        seed=task.learning.seed,
        start_weights=sha256_of(find_weights(inputs.weights)),
        weights_sha256=None,
        copies=used.copies,
        failed=stages.failed,
        seconds=stages.seconds,
    )
