"""psmnet adapt."""

import os
from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import (
    DATA,
    default_of,
    device_option,
    examples,
    precision_option,
    resume_option,
    seed_option,
    series_option,
    set_threads,
    threads_option,
    weights_option,
)
from psmnet.io import find_queries
from psmnet.learning import adapt, adaptation_spec
from psmnet.runtime import pick_device

EXAMPLES = examples(
    "adapt scans/ --out runs/mine",
    "adapt 'scans/*.nii.gz' --out runs/mine --steps 500",
    "segment new.nii.gz --support a.nii.gz a_labels.nii.gz \\\n      --weights runs/mine --out masks",
)


@click.command("adapt", epilog=EXAMPLES)
@click.argument("scans", nargs=-1, required=True, metavar="SCANS...")
@click.option("--out", type=DATA, required=True, metavar="RUN", help="Folder of this run, for --weights RUN later.")
@weights_option()
@series_option()
@click.option(
    "--steps",
    type=click.IntRange(1),
    metavar="N",
    default=default_of(adaptation_spec, "steps"),
    show_default=True,
    help="Training steps, about a second each.",
)
@precision_option("float32")
@seed_option("Seed of the training images.", default_of(adaptation_spec, "seed"))
@resume_option()
@device_option()
@threads_option()
def command(
    scans: tuple[str, ...],
    out: Path,
    weights: str | None,
    series: tuple[str, ...],
    steps: int,
    precision: str | None,
    seed: int,
    resume: bool,
    device: str,
    threads: int | None,
) -> None:
    """Train the weights further on your own scans, so that they fit your scanner and protocol.

    SCANS are files, DICOM folders, folders of these, or patterns in quotes. No labels are needed.
    """
    where = pick_device(device)
    set_threads(threads)
    found, skipped = find_queries(scans, out=out)
    for skip in skipped:
        console.say(f"skipped {skip.path.name}: {skip.reason}")
    spec = adaptation_spec(weights or "bundled", steps=steps, seed=seed, precision=precision)
    with console.progress("adapting", steps) as advance:
        adapted, failed = adapt(
            spec,
            found,
            out,
            device=where,
            series=series,
            jobs=os.cpu_count() or 1,
            resume=resume,
            say=console.say,
            report=lambda step, losses: advance(step, " ".join(f"{k} {v:.3f}" for k, v in losses.items())),
        )
    console.fail_on(failed, "fix or remove them", what="scan")
    console.out.print(f"weights: {adapted}")
    console.out.print(f"next: psmnet segment ... --weights {out}")
