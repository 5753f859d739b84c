"""psmnet train and the part of it that psmnet pretrain shares."""

import contextlib
import os
from pathlib import Path

import rich_click as click

from psmnet.catalog import SETTING2_RULES
from psmnet.cli import console
from psmnet.cli.options import (
    DATA,
    dataset_option,
    default_of,
    examples,
    kind_option,
    legacy_names,
    legacy_option,
    run_option,
    run_options,
    set_threads,
    setting_options,
)
from psmnet.runtime import pick_device
from psmnet.training import FAULTS_OF_TRAINING, RunSpec, joined, run_training

EXAMPLES = examples(
    "train data/chaos --dataset chaos-t2 --fold 0 --out runs/fold0",
    "train data/chaos --dataset chaos-t2 --out runs/all --init bundled",
    "train data/mine --dataset folder --out runs/mine --resume",
)


@click.command("train", epilog=EXAMPLES)
@click.argument("data", type=DATA)
@dataset_option()
@run_option()
@click.option(
    "--fold", type=int, metavar="N", help="Fold that is left out, with its support (default: use every case)."
)
@setting_options(RunSpec)
@click.option(
    "--support-cases",
    type=click.IntRange(1),
    metavar="N",
    default=default_of(RunSpec, "support_cases"),
    show_default=True,
    help="Cases after the fold that are left out too, to serve as supports.",
)
@click.option(
    "--setting2",
    metavar="RULE",
    default=default_of(RunSpec, "setting2"),
    show_default=True,
    help=f"Slices that Setting 2 drops: those that show {' or '.join(SETTING2_RULES)} of the tested organs.",
)
@kind_option(default_of(RunSpec, "kind"))
@click.option(
    "--pseudolabels",
    type=DATA,
    metavar="DIR",
    help="Folder of pseudo-labels (default: DATA). Missing ones are written to RUN.",
)
@legacy_option(FAULTS_OF_TRAINING)
@click.option("--init", metavar="RUN|FILE|bundled", help="Weights to begin with (default: random ones).")
@click.option(
    "--encoder-weights", metavar="FILE|URL", help="ResNet weights of torchvision to begin with, for --preset paper."
)
@click.option("--encoder-sha256", metavar="HEX", help="Checksum of --encoder-weights; required for a URL.")
@run_options(RunSpec, run_training)
def command(data: Path, pseudolabels: Path | None, out: Path, legacy: str | None, **options: object) -> None:
    """Train a method on the scans in the prepared folder DATA.

    Training uses no labels: it learns to find parts of images (pseudo-labels) again. Only Setting 2 reads labels, to
    know which slices to drop. A fold is a part of the cases that is left out of training, so that psmnet evaluate can
    test on it. A support is the labelled scan of such a test.
    """
    applies = {"superpixel-ids": options["kind"] == "superpixels", "class-slices": options["setting"] == 2}
    options["legacy"] = legacy_names(legacy, [name for name in FAULTS_OF_TRAINING if applies[name]])
    start(options, out, data, pseudolabels)


def start(options: dict[str, object], out: Path, data: Path | None, pseudolabels: Path | None) -> None:
    """Run a training with options as the command line has them."""
    device, resume = pick_device(str(options.pop("device"))), bool(options.pop("resume"))
    accumulate = int(options.pop("accumulate"))  # type: ignore[call-overload]  # click has checked it
    workers = int(options.pop("workers"))  # type: ignore[call-overload]  # click has checked it
    set_threads(options.pop("threads"))  # type: ignore[arg-type]  # click has checked it
    spec = RunSpec(**options)  # type: ignore[arg-type]  # click has checked them
    with contextlib.ExitStack() as opened:
        ranks = opened.enter_context(joined(device))
        steps = ranks.in_turn(spec.recipe).train.steps
        advance = opened.enter_context(console.progress("training", steps, shown=ranks.first))
        weights = run_training(
            spec,
            out,
            data=data,
            pseudolabels=pseudolabels,
            device=ranks.device(device),
            jobs=os.cpu_count() or 1,
            accumulate=accumulate,
            workers=workers,
            ranks=ranks,
            resume=resume,
            say=console.say if ranks.first else lambda line: None,
            report=lambda step, losses: advance(step, " ".join(f"{k} {v:.3f}" for k, v in losses.items())),
        )
    if ranks.first:
        console.out.print(f"weights: {weights}")
