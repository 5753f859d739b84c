"""psmnet demo."""

from pathlib import Path

import numpy as np
import rich_click as click
from rich.table import Table

from psmnet.catalog import dataset
from psmnet.cli import console
from psmnet.cli.options import DATA, set_threads, threads_option
from psmnet.data.phantom import write_patients
from psmnet.errors import InputError
from psmnet.evaluation import score
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.report import PageTable, draw_overlay, write_page
from psmnet.segmentation import Segmenter
from psmnet.system import LOCK_NAME, locked

PATIENTS = 5  # the first is the labelled one
SEED = 2026  # any will do: the bundled weights have seen no phantom


@click.command("demo")
@click.option("--out", type=DATA, default=Path("demo"), show_default=True, metavar="DIR", help="Folder to write to.")
@threads_option()
def command(out: Path, threads: int | None) -> None:
    """Draw synthetic patients and segment them by the labels of the first one.

    This shows what psmnet does without any data of your own. The page that it writes shows masks and scores: Dice is
    the overlap of a mask with the drawn labels, from 0 (none) to 1 (equal).
    """
    set_threads(threads)
    facts = dataset("phantom")
    dice: dict[str, dict[str, float]] = {}
    pictures: list[tuple[str, Path]] = []
    with locked(out), console.progress("patients", PATIENTS - 1) as advance:
        if any(path.name != LOCK_NAME for path in out.iterdir()) and not (out / "patients").is_dir():
            raise InputError(f"{out} holds other files", "choose another --out folder")
        (support, support_labels), *others = write_patients(out / "patients", PATIENTS, SEED)
        segmenter = Segmenter.from_pretrained()
        segmenter.set_support([(read_volume(support), read_labels(support_labels))])

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
            title = f"{name}: colour shows psmnet's mask, dashes the drawn labels"
            draw_overlay(query, mask.array_zyx, facts.names(), picture, reference_zyx=reference, title=title)
            pictures.append((name, picture))
            advance(len(dice), name)

        rows = [[name, *(f"{d:.3f}" for d in found.values())] for name, found in dice.items()]
        means = [float(np.mean([found[organ] for found in dice.values()])) for organ in facts.labels]
        rows.append(["mean", *(f"{d:.3f}" for d in means)])
        caption = "Dice against the drawn labels"
        page = out / "index.html"
        write_page(
            page,
            title="psmnet demo",
            intro=f"{PATIENTS - 1} synthetic patients, segmented by the labels of another one. The weights were "
            "trained on random synthetic images, never on these patients.",
            tables=[PageTable(caption, ["patient", *facts.labels], rows)],
            pictures=pictures,
        )
    table = Table("patient", *facts.labels, title=caption)
    for row in rows:
        table.add_row(*row)
    console.out.print(table)
    console.out.print(f"mean Dice {np.mean(means):.3f}")
    console.out.print(f"masks and overlays: {out}")
    console.out.print(f"page: {page}")
