"""Learned networks without training: one that finds something everywhere, and one whose probabilities are known."""

from pathlib import Path

import torch

from psmnet.io.organ_names import OrganName
from psmnet.models.encoder import CompactEncoder
from psmnet.models.student import Student
from psmnet.runtime import package_version
from psmnet.segmentation.learned_segmenter import scan_facts
from psmnet.segmentation.learned_weights import LearnedWeights, TaughtBy, save_learned
from psmnet.segmentation.likeness import Likeness
from psmnet.segmentation.student_view import StudentView
from psmnet.volume.normalisation import Normalisation
from psmnet.volume.volume import Volume

CHANNELS = 16
CPU = torch.device("cpu")
ORGANS = {1: OrganName("liver", "10200004"), 4: OrganName("spleen")}


def untrained_student(organs: int = 2) -> Student:
    """With weights that are the same every time, and neighbouring slices that count."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(4)
        student = Student(organs, CHANNELS).eval()
        student.head.weight *= 10  # else all are nearly even
        student.head.bias.zero_()
        return student


def certain_student(*logits: float) -> Student:
    """With the same logits everywhere: of background, and of each organ."""
    student = untrained_student(len(logits) - 1)
    with torch.no_grad():
        student.head.weight.zero_()
        student.head.bias.copy_(torch.tensor(logits))
    return student


def learned_from(images: list[Volume], student: Student | None = None) -> LearnedWeights:
    """A network that learned two organs from scans, as far as its record tells."""
    student = student or untrained_student()
    view = StudentView.of(images[:1], Normalisation("clip-zscore"))
    return LearnedWeights(
        student,
        view,
        ORGANS,
        {1: 1, 4: 2},
        frozenset({4}),
        frozenset({"MR"}),
        TaughtBy(("a" * 64,), ("b" * 64,), ("c" * 64, "d" * 64), 7, 1, "e" * 64, package_version()),
        Likeness.of([scan_facts(student, view, image, CPU) for image in images]),
    )


def save_learned_from(images: list[Volume], path: Path) -> Path:
    """The same as a file."""
    save_learned(path, learned_from(images))
    return path


def plain_encoder() -> CompactEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return CompactEncoder(CHANNELS).eval()
