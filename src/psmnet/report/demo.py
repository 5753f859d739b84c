"""A demonstration that needs no data: synthetic patients, learned from with the labels of the first one."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from psmnet.catalog import dataset
from psmnet.data.phantom import write_patients
from psmnet.errors import InputError
from psmnet.evaluation import score
from psmnet.io import OrganName, Query, read_labels, read_volume
from psmnet.learning import (
    FINAL,
    FIRST,
    LearnJob,
    LearnSettings,
    Progress,
    StudentTraining,
    learn_network,
    silent,
    write_stage_masks,
)
from psmnet.report.overlay import draw_overlay
from psmnet.report.page import PageTable, write_page
from psmnet.system import LOCK_NAME, locked

PATIENTS = 5  # the first is the labelled one; a cohort has at least four
SEED = 2026  # any will do: the bundled weights were not trained on phantoms
STEPS = 300  # of the second training; with 120 the masks end below the first ones
SETTINGS = LearnSettings(voters=2, training=StudentTraining(steps=STEPS))
SHOWN = {FIRST: "first masks", FINAL: "learned"}
ORGANS = dataset("phantom").names()
INTRO = (
    "{others} synthetic patients without labels, and one labelled: psmnet learned from all of them. First masks are "
    "made by the example of the labelled patient alone, as psmnet segment does; the learned ones are what a short "
    "learning ({steps} steps in place of {usual}) makes of them.\n\n"
    "Dice is the overlap of a mask with the reference, from 0 (none) to 1 (equal). Only the labelled patient's labels "
    "were learned from; the others' are compared with the result. All weights began with random synthetic images, "
    "never with these patients. What learning gains on real scans is another question."
)

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Demo:
    """What a demonstration left.

    Attributes:
        table: mean Dice of each organ, of first masks and after learning.
        first, learned: mean Dice of all organs and patients.
        masks: folder of the learned masks.
        network: folder of the learned network.
        page: with tables and pictures.
    """

    table: PageTable
    first: float
    learned: float
    masks: Path
    network: Path
    page: Path


def write_demo(out: Path, patients: int = PATIENTS, threads: int | None = None, progress: Progress = silent) -> Demo:
    """Draw patients, learn from all of them with the labels of the first, and write masks, pictures and a page.

    Args:
        out: folder to write to; new, or of an earlier demonstration.
        patients: how many, the labelled one included; at least five.
        threads: CPU threads; None for torch's default.
        progress: of each stage.

    Raises:
        InputError: the folder holds other files or can't be written.
    """
    with locked(out):
        if any(path.name != LOCK_NAME for path in out.iterdir()) and not (out / "patients").is_dir():
            raise InputError(f"{out} holds other files", "choose another folder", code="out")
        (image, labels), *others = write_patients(out / "patients", patients, SEED)
        references = {_name(image): label for image, label in others}
        queries = [Query(image.absolute(), _name(image)) for image, _ in others]
        job = LearnJob(
            ((image.absolute(), labels.absolute()),),
            out.absolute() / "network",
            names={value: OrganName(name) for value, name in ORGANS.items()},
            threads=threads,
            settings=SETTINGS,
        )
        learned = learn_network(job, queries, progress=progress)
        masks = write_stage_masks(learned, out / "masks")
        shutil.rmtree(job.work)
        pictures = [
            (f"labelled: patient 1 ({_name(image)})", _draw(out, image, labels, None)),
            *(
                (f"learned: patient {number} ({_name(one)})", _draw(out, one, masks[FINAL][_name(one)], reference))
                for number, (one, reference) in enumerate(others, 2)
            ),
        ]
        dice = {title: _scores(masks[stage], references) for stage, title in SHOWN.items()}
        table = PageTable(
            "Dice against the reference, mean over patients",
            ["masks", *ORGANS.values(), "mean"],
            [[title, *map(_shown, found.mean(axis=0)), _shown(found.mean())] for title, found in dice.items()],
        )
        by_patient = PageTable(
            "Dice of each patient, mean over organs",
            ["patient", *dice],
            [[name, *map(_shown, values)] for name, values in zip(references, _by_patient(dice), strict=True)],
        )
        page = out / "index.html"
        write_page(
            page,
            title="psmnet demo",
            intro=INTRO.format(others=len(others), steps=STEPS, usual=StudentTraining.steps),
            tables=[table, by_patient],
            pictures=pictures,
        )
    first, after = (float(found.mean()) for found in dice.values())
    return Demo(table, first, after, out / "masks" / FINAL, out / "network", page)


def _name(path: Path) -> str:
    return path.name.removesuffix(".nii.gz")


def _draw(out: Path, image: Path, labels: Path, reference: Path | None) -> Path:
    """A picture of a patient's masks."""
    what = "the labelled patient" if reference is None else "colour shows the learned mask, dashes the reference"
    picture = out / f"{_name(image)}_overlay.png"
    draw_overlay(
        read_volume(image),
        read_labels(labels).array_zyx,
        ORGANS,
        picture,
        reference_zyx=None if reference is None else read_labels(reference).array_zyx,
        title=f"{_name(image)}: {what}",
    )
    return picture


def _scores(masks: Mapping[str, Path], references: Mapping[str, Path]) -> Scores:
    """Dice (patients, organs)."""
    found = []
    for name, label in references.items():
        mask, reference = read_labels(masks[name]), read_labels(label).array_zyx
        dice = (score(mask.array_zyx == value, reference == value, mask.spacing_mm).dice for value in ORGANS)
        found.append([value or 0.0 for value in dice])
    return np.array(found)


def _by_patient(dice: Mapping[str, Scores]) -> Scores:
    """Mean Dice (patients, stages)."""
    return np.stack([found.mean(axis=1) for found in dice.values()], axis=1)


def _shown(dice: float) -> str:
    return f"{dice:.3f}"
