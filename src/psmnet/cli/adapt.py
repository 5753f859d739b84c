"""psmnet adapt."""

import os
from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import DATA, device_option, set_threads, threads_option, weights_option
from psmnet.io import find_queries
from psmnet.learning import STEPS, adapt, adaptation_spec
from psmnet.runtime import pick_device


@click.command("adapt")
@click.argument("scans", nargs=-1, required=True, metavar="SCANS...")
@click.option("--out", type=DATA, required=True, metavar="RUN", help="Folder of this run, for --weights RUN.")
@weights_option()
@click.option("--series", metavar="UID", multiple=True, help="Series to take of DICOM folders; else the largest.")
@click.option("--steps", type=click.IntRange(1), default=STEPS, show_default=True, help="About one a second.")
@click.option("--precision", help="Of the encoder: float32 (default), or bfloat16 where the processor has it.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the episodes.")
@click.option("--resume", is_flag=True, help="Go on with a run that was cut short.")
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
    """Fit the weights to your own scans (files, DICOM folders, folders of these), which need no labels.

    Then: psmnet segment ... --weights RUN
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
    console.fail_on(failed, "mend or leave them out", what="scan")
    console.out.print(f"weights: {adapted}")
    console.out.print(f"next: psmnet segment ... --weights {out}")
