"""psmnet learn."""

from dataclasses import replace
from pathlib import Path

import click as plain_click
import rich_click as click

from psmnet.cli import console
from psmnet.cli.masks import fail_on_failed, print_masks
from psmnet.cli.options import (
    DATA,
    default_of,
    device_option,
    examples,
    names_option,
    seed_option,
    series_option,
    set_threads,
    threads_option,
    weights_option,
)
from psmnet.cli.scan_options import (
    Pairs,
    absolute,
    absolute_weights,
    chosen_workers,
    format_option,
    label_values,
    labels_option,
    support_option,
    trust_grid_option,
    workers_options,
)
from psmnet.cohort import LearnedCohort, learn_cohort
from psmnet.errors import require
from psmnet.io import find_queries, read_names
from psmnet.learning import LearnJob, LearnSettings, StudentTraining

EXAMPLES = examples(
    "learn scans/ --support old.nii.gz old_labels.nii.gz --out learned",
    "segment new.nii.gz --weights learned --out masks",
    "suggest --next learned",
    "learn scans/ --from learned --support new.nii.gz learned/masks/new_seg.nii.gz --out better",
)
SHOWN = 3  # scans that are named as the next to correct


@click.command("learn", epilog=EXAMPLES)
@click.argument("scans", nargs=-1, required=True, metavar="SCANS...")
@support_option("")
@click.option(
    "--from",
    "earlier",
    type=DATA,
    metavar="RUN",
    help="Go on from an earlier learning: its labelled scans and its network are used, too.",
)
@click.option("--out", type=DATA, required=True, metavar="RUN", help="Folder for the masks, the network and a report.")
@weights_option()
@labels_option("learn")
@names_option()
@click.option(
    "--rounds",
    type=click.IntRange(1),
    metavar="N",
    default=default_of(LearnSettings, "rounds"),
    show_default=True,
    help="How often a network is trained; each time it learns from the masks of the time before.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    metavar="N",
    default=default_of(StudentTraining, "steps"),
    show_default=True,
    help="Training steps of each round, about a quarter of a second each on two cores.",
)
@click.option(
    "--vote-only",
    is_flag=True,
    help="Train nothing: each scan gets the mean of what the labelled scans and the surest masks say.",
)
@seed_option("Seed of the network's first weights and of the training images.", default_of(LearnSettings, "seed"))
@format_option()
@series_option()
@trust_grid_option()
@workers_options()
@device_option()
@threads_option()
def command(
    scans: tuple[str, ...],
    supports: Pairs,
    earlier: Path | None,
    out: Path,
    weights: str | None,
    labels: str | None,
    names: Path | None,
    rounds: int,
    steps: int,
    vote_only: bool,
    seed: int,
    ending: str,
    series: tuple[str, ...],
    trust_support_grid: bool,
    workers: int | None,
    timeout: float | None,
    cluster: str | None,
    insecure: bool,
    device: str,
    threads: int | None,
) -> None:
    """Learn from one labelled scan and many unlabelled ones, and segment all of them.

    SCANS are the unlabelled scans: files, DICOM folders, folders of these, or patterns in quotes, at least four. A
    support is a labelled scan.

    The scans get first masks, as psmnet segment makes them. From these and the labelled scan a network of its own is
    trained, and the scans get better masks from it. RUN has them in RUN/masks, the network, which segments further
    scans without a support (psmnet segment NEW --weights RUN), and RUN/report.html. Run the command again to continue.

    The masks can be made better by correcting a few: psmnet suggest --next RUN says which. Give them as further
    labelled scans, with --from RUN and another --out folder.
    """
    if not supports and earlier is None:
        raise click.UsageError("Missing option '--support' (only with --from RUN it may be left out)")
    if vote_only:
        source = plain_click.get_current_context().get_parameter_source
        given = [
            name for name in ("rounds", "steps", "seed") if source(name) is plain_click.core.ParameterSource.COMMANDLINE
        ]
        require(not given, f"--vote-only trains nothing, and --{' --'.join(given)} is given", "leave one out")
    who = chosen_workers(workers, timeout, cluster, insecure)
    set_threads(threads)
    found, skipped = find_queries(scans, [path for pair in supports for path in pair], out)
    settings = LearnSettings(rounds=rounds, vote_only=vote_only, seed=seed)
    job = LearnJob(
        supports=absolute(supports),
        out=out.absolute(),
        names=read_names(names) if names else {},
        labels=label_values(labels),
        series=series,
        trust_grid=trust_support_grid,
        weights=absolute_weights(weights) or "bundled",
        device=device,
        threads=threads,
        settings=replace(settings, training=replace(settings.training, steps=steps)),
    )
    with console.stages() as progress:
        learned = learn_cohort(job, found, skipped, earlier=earlier, ending=ending, workers=who, progress=progress)
    if learned is not None:
        _print(out, learned, ending)


def _print(out: Path, learned: LearnedCohort, ending: str) -> None:
    record = learned.record
    for note in record.notes:
        console.out.print(note if note.startswith("warning: ") else f"note: {note}")
    if learned.kept:
        console.out.print("kept: learned before from the same scans with the same settings")
    print_masks(out / "masks", learned.cohort, ending, learned.called, anonymise=False)
    if record.weights_sha256 is not None:
        console.out.print(f"network: {out / 'weights.safetensors'} (psmnet segment NEW... --weights {out})")
    console.out.print(f"report: {out / 'report.html'}")
    names = ", ".join(scan.query for scan in record.to_correct()[:SHOWN])
    console.out.print(f"correcting these would help most: {names} (psmnet suggest --next {out})")
    fail_on_failed(learned.cohort)
