"""Where the bench hands its learnings to `psmnet.learning`, and gets back the masks of every stage."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from psmnet.data import Case
from psmnet.io import Query, checksum, digest, read_scan, write_volume
from psmnet.learning import FINAL, LearnJob, LearnSettings, learn_from_labels, learn_network, write_stage_masks
from psmnet.models import WEIGHTS_NAME, parse_changes
from psmnet.segmentation import LearnedSegmenter
from psmnet.system import StoredFile, locked

STAGES_NAME, MASKS_NAME = "stages.json", "stages"


@dataclass(frozen=True)
class LearningInputs:
    """What a learning is given. Nothing in it leads to labels of other scans than the supports.

    Attributes:
        supports: labelled scans.
        cohort: image of each unlabelled scan, by case; empty trains a student on the labels alone.
        left_out: images to segment with the learned network afterwards, by case.
        values: label values to learn.
        settings: of the learning.
        weights: of the first masks, as `load_weights` takes them.
        device: by name.
        threads: CPU threads; None for torch's default.
    """

    supports: Sequence[Case]
    cohort: Mapping[str, Path]
    left_out: Mapping[str, Path]
    values: tuple[int, ...]
    settings: LearnSettings
    weights: str = "bundled"
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class StageMasks:
    """What a learning leaves.

    Attributes:
        masks: stage (in `learning.STAGES`) to case to the file of its label map; those that were left out have only
            the final one.
        weights: the learned network.
        failed: scans that could not be used, with the reason.
        seconds: that it took, since it was last begun.
    """

    masks: Mapping[str, Mapping[str, Path]]
    weights: Path
    failed: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def settings_of(texts: Sequence[str], *, seed: int, steps: int | None) -> LearnSettings:
    """Settings of a learning from `NAME=VALUE` texts; those of the student's training stand beside the others.

    Raises:
        ConfigError: no such setting, or a value that it can't take.
    """
    settings = LearnSettings(seed=seed)
    own, training = _plain(settings), _plain(settings.training)
    changes = parse_changes(texts, own | training)
    if steps is not None:
        changes["steps"] = steps
    of_training: dict[str, Any] = {name: value for name, value in changes.items() if name in training}
    of_learning: dict[str, Any] = {name: value for name, value in changes.items() if name in own}
    return replace(settings, **of_learning, training=replace(settings.training, **of_training))


def _plain(settings: object) -> dict[str, bool | int | float | str]:
    """The settings that a text can change."""
    return {name: value for name, value in vars(settings).items() if isinstance(value, bool | int | float | str)}


class _Stages(StoredFile):
    """What a finished learning left, beside its masks."""

    SCHEMA = "psmnet-stages-1"

    key: str
    masks: dict[str, dict[str, str]]
    failed: dict[str, str]
    seconds: float


def learn_stages(inputs: LearningInputs, run: Path) -> StageMasks:
    """Learn, and segment all scans; a learning that was killed goes on, and a finished one is not repeated.

    Args:
        inputs: what it is given.
        run: its folder. The stages' intermediate results are removed at the end.

    Raises:
        PsmnetError: the labelled scans, the weights or the folder can't be used, or the cohort is too small.
    """
    job = LearnJob(
        supports=tuple((case.image_path, case.label_path) for case in inputs.supports),
        out=run,
        labels=inputs.values,
        weights=inputs.weights,
        device=inputs.device,
        threads=inputs.threads,
        settings=inputs.settings,
    )
    scans = {**inputs.cohort, **inputs.left_out}
    facts = (f"{case} {case in inputs.cohort} {checksum(path)}" for case, path in scans.items())
    key = digest(job.with_key(job.load()).key, *facts)
    with locked(run):
        stages = _Stages.find(run / STAGES_NAME)
        if stages is None or stages.key != key or not (run / WEIGHTS_NAME).exists():
            stages = _learn(inputs, job, key)
            stages.write(run / STAGES_NAME)
        shutil.rmtree(job.work, ignore_errors=True)
    masks = {stage: {case: run / path for case, path in files.items()} for stage, files in stages.masks.items()}
    return StageMasks(masks, run / WEIGHTS_NAME, stages.failed, stages.seconds)


def _learn(inputs: LearningInputs, job: LearnJob, key: str) -> _Stages:
    began = time.perf_counter()
    failed: dict[str, str] = {}
    files: dict[str, dict[str, Path]] = {}
    if inputs.cohort:
        learned = learn_network(job, [Query(path, case) for case, path in inputs.cohort.items()])
        failed = {query.name: error.what for query, error in learned.failed}
        files = write_stage_masks(learned, job.out / MASKS_NAME)
    else:
        learn_from_labels(job)
    segmenter = LearnedSegmenter.from_checkpoint(job.out, inputs.device)
    for case, image in inputs.left_out.items():
        path = job.out / MASKS_NAME / FINAL / f"{case}.nii.gz"
        write_volume(segmenter.segment(read_scan(image).volume), path)
        files.setdefault(FINAL, {})[case] = path
    masks = {
        stage: {case: path.relative_to(job.out).as_posix() for case, path in of_stage.items()}
        for stage, of_stage in files.items()
    }
    return _Stages(key=key, masks=masks, failed=failed, seconds=round(time.perf_counter() - began, 3))
