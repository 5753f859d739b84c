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
    kind_option,
    legacy_names,
    run_options,
    set_threads,
    setting_options,
)
from psmnet.runtime import pick_device
from psmnet.training import FAULTS_OF_TRAINING, RunSpec, joined, run_training


@click.command("train")
@click.argument("data", type=DATA)
@dataset_option()
@click.option("--fold", type=int, help="Cases of this fold, and its support, are left out; every case by default.")
@setting_options()
@click.option(
    "--support-cases",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Cases after the fold kept out as supports.",
)
@click.option("--setting2", default="any", show_default=True, help=f"Setting 2: {' or '.join(SETTING2_RULES)}.")
@kind_option()
@click.option("--pseudolabels", type=DATA, metavar="DIR", help="Theirs; DATA by default, missing ones go to RUN.")
@click.option("--legacy", metavar="NAMES", help=f"Faults of the field: all, or any of {', '.join(FAULTS_OF_TRAINING)}.")
@click.option("--init", metavar="RUN|FILE|bundled", help="Begin with these weights, not from scratch.")
@click.option("--encoder-weights", metavar="FILE|URL", help="torchvision's ResNet weights, for --preset paper.")
@click.option("--encoder-sha256", metavar="HEX", help="Their checksum; needed for a URL.")
@run_options()
def command(data: Path, pseudolabels: Path | None, out: Path, legacy: str | None, **options: object) -> None:
    """Train on the scans of DATA: self-supervised, no manual label is seen (Setting 2 reads which slices to drop)."""
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
