"""A demonstration that needs no data: synthetic patients, segmented by the labels of the first one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psmnet.catalog import dataset
from psmnet.data.phantom import write_patients
from psmnet.errors import InputError
from psmnet.evaluation import score
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.report.overlay import draw_overlay
from psmnet.report.page import PageTable, write_page
from psmnet.segmentation import Segmenter
from psmnet.system import LOCK_NAME, locked

PATIENTS = 5  # the first is the labelled one
SEED = 2026  # any will do: the bundled weights were not trained on phantoms


@dataclass(frozen=True)
class Demo:
    """What a demonstration left.

    Attributes:
        table: Dice of each organ, a row per patient and one of means.
        mean_dice: of all organs and patients.
        page: with the table and the pictures.
    """

    table: PageTable
    mean_dice: float
    page: Path


def write_demo(
    out: Path, patients: int = PATIENTS, report: Callable[[int, str], None] = lambda done, name: None
) -> Demo:
    """Draw patients, segment all but the first by its labels, and write masks, pictures and a page.

    Args:
        out: folder to write to; new, or of an earlier demonstration.
        patients: how many, the labelled one included.
        report: called with the number of segmented patients and the name of the last one.

    Raises:
        InputError: the folder holds other files or can't be written.
    """
    facts = dataset("phantom")
    dice: dict[str, dict[str, float]] = {}
    with locked(out):
        if any(path.name != LOCK_NAME for path in out.iterdir()) and not (out / "patients").is_dir():
            raise InputError(f"{out} holds other files", "choose another folder", code="out")
        (support, support_labels), *others = write_patients(out / "patients", patients, SEED)
        segmenter = Segmenter.from_pretrained()
        labelled, its_labels = read_volume(support), read_labels(support_labels)
        segmenter.set_support([(labelled, its_labels)])
        name = support.name.removesuffix(".nii.gz")
        pictures = [(f"labelled: patient 1 ({name})", out / f"{name}_overlay.png")]
        title = f"{name}: the labelled patient"
        draw_overlay(labelled, its_labels.array_zyx, facts.names(), pictures[0][1], title=title)
        for image, labels in others:
            name = image.name.removesuffix(".nii.gz")
            query, reference = read_volume(image), read_labels(labels).array_zyx
            mask = segmenter.segment(query)
            write_volume(mask, out / f"{name}_seg.nii.gz")
            dice[name] = {
                organ: score(mask.array_zyx == value, reference == value, query.spacing_mm).dice or 0.0
                for organ, value in facts.labels.items()
            }
            picture = out / f"{name}_overlay.png"
            title = f"{name}: colour shows psmnet's mask, dashes the reference"
            draw_overlay(query, mask.array_zyx, facts.names(), picture, reference_zyx=reference, title=title)
            pictures.append((f"segmented: patient {len(dice) + 1} ({name})", picture))
            report(len(dice), name)
        rows = [[name, *(f"{d:.3f}" for d in found.values())] for name, found in dice.items()]
        means = [float(np.mean([found[organ] for found in dice.values()])) for organ in facts.labels]
        rows.append(["mean", *(f"{d:.3f}" for d in means)])
        table = PageTable("Dice against the reference", ["patient", *facts.labels], rows)
        page = out / "index.html"
        write_page(
            page,
            title="psmnet demo",
            intro=f"{patients - 1} synthetic patients, segmented by the labels of another one. The weights were "
            "trained on random synthetic images, never on these patients.",
            tables=[table],
            pictures=pictures,
        )
    return Demo(table, float(np.mean(means)), page)
