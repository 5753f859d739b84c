"""Stage 3: the student is trained, and becomes a learned network with all that segmenting needs."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch

from psmnet.io import checksum
from psmnet.learning.first_masks import FirstMask
from psmnet.learning.job import LabelledScans, LearnJob
from psmnet.learning.student_batches import SlicePool, StudentBatches
from psmnet.learning.student_training import StudentTraining, train_student
from psmnet.learning.targets import Taught
from psmnet.models import Student
from psmnet.runtime import package_version, pick_device
from psmnet.segmentation import LearnedWeights, Likeness, ScanFacts, TaughtBy, save_learned
from psmnet.training import ALONE, Ranks, StepCallback
from psmnet.volume import slice_first, values_at_ends

SIDE_PX = 160  # largest side of a training image


def train_on(
    job: LearnJob,
    loaded: LabelledScans,
    labelled: Sequence[Taught],
    others: Sequence[Taught],
    folder: Path,
    *,
    training: StudentTraining,
    begin_with: Student,
    ranks: Ranks = ALONE,
    report: StepCallback | None = None,
) -> Student:
    """Train a student, from the last checkpoint in the folder if there is one.

    Args:
        job, loaded: the job and its labelled scans.
        labelled, others: what it is taught by.
        folder: of this training; it receives checkpoints and metrics.
        training: how.
        begin_with: initial weights; it is changed.
        ranks: processes that share the training.
        report: called with (steps done, losses) after every step.

    Returns:
        the student, on the CPU and in evaluation mode.
    """
    folder.mkdir(parents=True, exist_ok=True)
    organs = len(loaded.values)
    size = min(SIDE_PX, max(max(scan.labels.shape[1:]) for scan in labelled))
    pools = [(SlicePool(labelled, organs, training.balanced, training.augment_labelled), training.labelled)]
    if others:
        pools.append((SlicePool(others, organs, training.balanced, training.augment_others), training.others))
    batches = StudentBatches(pools, size, job.settings.seed)
    device = ranks.device(pick_device(job.device))
    train_student(begin_with, batches, training, folder, device=device, ranks=ranks, report=report)
    return begin_with.cpu()


def new_student(loaded: LabelledScans, seed: int) -> Student:
    """A student that begins with the earlier network or, without one, with the encoder of the first masks.

    The decoder's weights then depend on the seed only.
    """
    if loaded.earlier is not None:
        return copy.deepcopy(loaded.earlier.model)
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    encoder = loaded.weights.model.encoder
    student = Student.from_encoder(encoder, len(loaded.values), loaded.weights.config.channels)  # type: ignore[arg-type]  # `LearnJob.load` has checked the encoder
    torch.set_rng_state(state)
    return student


def save_student(
    path: Path,
    student: Student,
    job: LearnJob,
    loaded: LabelledScans,
    first: Sequence[FirstMask],
    facts: Sequence[ScanFacts],
) -> None:
    """Write a student as a learned network.

    Args:
        path: of the file.
        student: trained.
        job, loaded: the job and its labelled scans.
        first: scans of the cohort that it was taught by.
        facts: what new scans are compared with.

    Raises:
        InputError: it can't be written.
    """
    earlier = loaded.earlier
    taught = TaughtBy(
        labelled=tuple(checksum(image) for image, _ in job.supports),
        labels=tuple(checksum(labels) for _, labels in job.supports),
        cohort=tuple(sorted(one.content for one in first)),
        steps=sum(job.settings.training_of(number).steps for number in range(1, job.settings.rounds + 1))
        + (earlier.taught_by.steps if earlier else 0),
        seed=job.settings.seed,
        init=earlier.sha256 if earlier else loaded.weights.sha256,
        version=package_version(),
    )
    weights = LearnedWeights(
        model=student,
        view=loaded.view,
        organs=loaded.called,
        parts=loaded.supports.parts(loaded.values),
        running_on=frozenset(
            value
            for image, labels in loaded.supports.pairs
            for value in values_at_ends(slice_first(image).apply_array(labels.array_zyx))
        ),
        modalities=loaded.supports.modalities,
        taught_by=taught,
        likeness=Likeness.of(facts),
    )
    save_learned(path, weights)
