"""A student that is trained on labelled scans alone: what learning from a cohort is compared with."""

from dataclasses import replace
from pathlib import Path

import torch

from psmnet.learning.job import LearnJob
from psmnet.learning.taught import taught_by_labels
from psmnet.learning.train import new_student, save_student, train_on
from psmnet.models import WEIGHTS_NAME
from psmnet.segmentation import scan_facts


def learn_from_labels(job: LearnJob) -> Path:
    """Train a student on labelled scans, in as many rounds, steps and slices of a batch as from a cohort.

    Args:
        job: labelled scans and settings. A training that was killed goes on where it was.

    Returns:
        The weights file, a learned network.

    Raises:
        PsmnetError: the labelled scans or the weights can't be used.
    """
    training = job.settings.training
    alone = replace(training, labelled=training.labelled + training.others, others=0)
    job = replace(job, settings=replace(job.settings, training=alone))
    loaded = job.load()
    job = job.with_key(loaded)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    student, labelled = new_student(loaded, job.settings.seed), taught_by_labels(loaded)
    for number in range(1, job.settings.rounds + 1):
        folder = job.work / f"student-{job.key[:16]}-{number}"
        training = job.settings.training_of(number)
        student = train_on(job, loaded, labelled, [], folder, training=training, begin_with=student)
    device = torch.device("cpu")
    facts = [scan_facts(student, loaded.view, image, device) for image, _ in loaded.supports.pairs]
    weights = job.out / WEIGHTS_NAME
    save_student(weights, student, job, loaded, [], facts)
    return weights
