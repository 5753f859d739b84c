"""A learning in the process that works on jobs; it goes on where an earlier server was stopped."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from psmnet.cohort import learn_cohort
from psmnet.errors import InputError
from psmnet.io import OrganName, Query, write_volume
from psmnet.learning import LearnJob, LearnSettings
from psmnet.segmentation import agreed_on
from psmnet.viewer.labelled import read_paths
from psmnet.viewer.learn_files import SUPPORTS, name_scans
from psmnet.viewer.learn_progress import StageProgress
from psmnet.viewer.learn_result import learn_result
from psmnet.viewer.task import PROGRESS, LearnTask


def run_learning(
    task: LearnTask, settings: LearnSettings, *, weights: str, device: str, threads: int | None
) -> dict[str, Any]:
    """Learn from all scans of a task; the result is as the API gives it.

    Args:
        task: the scans.
        settings: of the learning.
        weights, device, threads: as `LearnJob` takes them.

    Raises:
        PsmnetError: the scans can't be learned from, or an output can't be written.
    """
    began = time.monotonic()
    task.out.mkdir(mode=0o700, exist_ok=True)
    supports, names = _agreed(task)
    job = LearnJob(
        supports=supports,
        out=task.out,
        names=names,
        labels=task.organs,
        weights=weights,
        device=device,
        threads=threads,
        settings=settings,
    )
    progress = StageProgress(task.out / PROGRESS, settings, task.most_bytes)
    queries = [Query(path, scan) for scan, path in task.scans.items()]
    learned = learn_cohort(job, queries, keep_first=True, progress=progress)
    if learned is None:
        raise InputError("this process is one of several under torchrun", "start psmnet serve without torchrun")
    name_scans(task.out, task.names)
    return learn_result(task.out, task.scans, learned, round(time.monotonic() - began, 3))


def _agreed(task: LearnTask) -> tuple[tuple[tuple[Path, Path], ...], dict[int, OrganName]]:
    """Image and labels of each labelled scan, with one set of label values and names."""
    found = read_paths(task.supports)
    agreed = agreed_on(found)
    pairs = []
    for number, (given, one, (_, labels)) in enumerate(zip(task.supports, found, agreed.pairs, strict=True)):
        path = given.labels
        if not np.array_equal(labels.array_zyx, one.labels.array_zyx):
            path = task.out / SUPPORTS / f"{number}.nii.gz"
            write_volume(labels, path)
        pairs.append((given.image, path))
    return tuple(pairs), agreed.names
