"""Files of learned networks: a student with all that it needs to segment scans without a labelled one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from psmnet.errors import InputError
from psmnet.io import OrganName
from psmnet.models import LEARNED, Student, find_weights, load_tensors, save_tensors
from psmnet.segmentation.likeness import Likeness
from psmnet.segmentation.student_view import StudentView
from psmnet.system import sha256_of
from psmnet.volume import Normalisation


@dataclass(frozen=True)
class TaughtBy:
    """What a learned network was taught by. Scans are named by their checksums: file names may name patients.

    Attributes:
        labelled: SHA-256 of each labelled scan.
        labels: SHA-256 of their labels, in the same order.
        cohort: SHA-256 of the unlabelled scans that training saw.
        steps: optimiser steps, of all rounds.
        seed: of the training.
        init: SHA-256 of the weights that the encoder began with.
        version: of psmnet.
    """

    labelled: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    cohort: tuple[str, ...] = ()
    steps: int = 0
    seed: int = 0
    init: str | None = None
    version: str = ""


@dataclass(frozen=True)
class LearnedWeights:
    """A learned network with all that inference needs.

    Attributes:
        model: in evaluation mode, on the CPU.
        view: how scans are shown to it.
        organs: label value to name, in the order of the network's outputs (ascending).
        parts: label value to the number of connected parts that an organ has.
        running_on: label values that reach a scan's first or last slice in a labelled scan, as the aorta does.
        modalities: of the labelled scans, as DICOM names them; "" where it is not known.
        taught_by: what it learned from.
        likeness: what the scans that it learned from have in common.
        sha256: of the weights file.
    """

    model: Student
    view: StudentView
    organs: Mapping[int, OrganName]
    parts: Mapping[int, int]
    running_on: frozenset[int]
    modalities: frozenset[str]
    taught_by: TaughtBy
    likeness: Likeness
    sha256: str = ""


def save_learned(path: Path, weights: LearnedWeights) -> None:
    """Write a weights file; its checksum is not known before and is not part of it.

    Raises:
        InputError: it can't be written.
    """
    learned = {
        "channels": weights.model.encoder.head.out_channels,
        "view": asdict(weights.view),
        "organs": {str(value): [organ.name, organ.snomed] for value, organ in weights.organs.items()},
        "parts": {str(value): count for value, count in weights.parts.items()},
        "running_on": sorted(weights.running_on),
        "modalities": sorted(weights.modalities),
        "taught_by": asdict(weights.taught_by),
        "likeness": asdict(weights.likeness) | {"ct": sorted(weights.likeness.ct)},
    }
    save_tensors(path, weights.model.state_dict(), {LEARNED: learned})


def load_learned(source: str | Path) -> LearnedWeights:
    """Read a learned network: a run's folder, or a file.

    Raises:
        InputError: there is none, or the file is damaged, holds other weights or does not fit this version.
    """
    path = find_weights(source)
    sha256 = sha256_of(path)
    tensors, record = load_tensors(path)
    if LEARNED not in record:
        raise InputError(f"{path} is not a learned network", "give the folder of a learning", code="not-learned")
    try:
        facts = record[LEARNED]
        organs = {int(value): OrganName(*organ) for value, organ in facts["organs"].items()}
        organs = dict(sorted(organs.items()))
        model = Student(len(organs), facts["channels"])
        model.load_state_dict(tensors)
        return LearnedWeights(
            model.eval(),
            _view(facts["view"]),
            organs,
            {int(value): count for value, count in facts["parts"].items()},
            frozenset(facts["running_on"]),
            frozenset(facts["modalities"]),
            _taught_by(facts["taught_by"]),
            _likeness(facts["likeness"]),
            sha256,
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path} does not fit this version of psmnet ({type(error).__name__})",
            "learn again, or use the version that wrote it",
        ) from error


def _view(record: dict[str, Any]) -> StudentView:
    x, y, z = record["spacing_mm"]
    return StudentView(
        tuple(tuple(row) for row in record["direction"]),
        (x, y, z),
        record["pixel_mm"],
        record["neighbour_mm"],
        Normalisation(**record["normalisation"]),
    )


def _taught_by(record: dict[str, Any]) -> TaughtBy:
    scans = {name: tuple(record[name]) for name in ("labelled", "labels", "cohort")}
    return TaughtBy(**record | scans)


def _likeness(record: dict[str, Any]) -> Likeness:
    return Likeness(
        frozenset(record["ct"]),
        {name: (low, high) for name, (low, high) in record["ranges"].items()},
        tuple(record["mean"]),
        tuple(record["spread"]),
        record["reach"],
    )
