"""Learnings small enough for tests: an untrained network, phantoms and two steps."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from psmnet.io.scan_files import Query
from psmnet.learning.job import LearnJob
from psmnet.learning.settings import LearnSettings
from psmnet.learning.student_training import StudentTraining

COHORT = (2, 3, 4, 5)  # phantoms; the labelled one is number 1
LABELS = (1, 4)  # that the tests' network finds somewhere


def quick_settings(**changes: Any) -> LearnSettings:
    """One round of two steps, without registration, unless changed; `steps` is of the training."""
    training = StudentTraining(steps=changes.pop("steps", 2), labelled=1, others=1, checkpoint_every=1)
    return replace(LearnSettings(rounds=1, registration=False, training=training), **changes)


def quick_job(data: Path, weights: Path, out: Path, **changes: Any) -> LearnJob:
    """Of phantom 1 in a folder; `settings` are `quick_settings` unless given."""
    pair = data / "image_1.nii.gz", data / "label_1.nii.gz"
    given = {"settings": quick_settings(), "labels": LABELS, "weights": str(weights), "device": "cpu", "threads": 1}
    return LearnJob((pair,), out, **{**given, **changes})


def cohort_of(data: Path, numbers: Sequence[int] = COHORT) -> list[Query]:
    """Phantoms by number."""
    return [Query(data / f"image_{number}.nii.gz", f"image_{number}") for number in numbers]
