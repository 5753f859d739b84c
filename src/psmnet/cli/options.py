"""Options that several commands share."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rich_click as click

from psmnet.catalog import DATASETS, FOLDS
from psmnet.models import METHODS

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

DATA = click.Path(path_type=Path)


def together(*options: Decorator) -> Decorator:
    """Several options, shown by --help in this order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def dataset_option() -> Decorator:
    """--dataset NAME."""
    return click.option("--dataset", required=True, metavar="NAME", help=f"One of {', '.join(DATASETS)}.")


def setting_options() -> Decorator:
    """--folds, --institution, --setting and --group."""
    return together(
        click.option("--folds", default="ouyang", show_default=True, help=f"One of {', '.join(FOLDS)}."),
        click.option("--institution", metavar="NAME", help="Held out by --folds li."),
        click.option("--setting", type=int, default=1, show_default=True, help="1 or 2."),
        click.option("--group", metavar="GROUP", help="Setting 2: upper or lower."),
    )


def run_options() -> Decorator:
    """What every training takes."""

    return together(
        click.option(
            "--method",
            type=click.Choice([name for name, method in METHODS.items() if method.trained]),
            default="psmnet",
            show_default=True,
            help="What is trained.",
        ),
        set_option("Change the network or the method, as in attention=text."),
        click.option("--preset", default="compact", show_default=True, help="compact or paper."),
        click.option("--out", type=DATA, required=True, metavar="RUN", help="Folder of this run."),
        click.option("--steps", type=int, help="Instead of the preset's."),
        click.option("--pairs", type=int, help="Image pairs in a batch, instead of the preset's."),
        click.option("--precision", help="Of the encoder: float32 or bfloat16; the preset's by default."),
        click.option("--seed", type=int, default=0, show_default=True, help="Of weights and episodes."),
        click.option("--resume", is_flag=True, help="Go on with a run that was cut short."),
        click.option(
            "--accumulate",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            help="Parts of a batch taken one after another, for less memory.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Processes that draw batches, 0 for a thread; for GPUs.",
        ),
        device_option(),
        threads_option(),
    )


def method_option() -> Decorator:
    """--method NAME, of a command that uses weights."""
    return click.option(
        "--method",
        type=click.Choice(list(METHODS)),
        help="How scans are compared; as the weights were trained by default.",
    )


def jobs_option() -> Decorator:
    """--jobs N."""
    return click.option(
        "--jobs",
        type=click.IntRange(1),
        default=lambda: os.cpu_count(),
        help="Cases at the same time; one a core by default.",
    )


def kind_option() -> Decorator:
    """--kind superpixels|supervoxels."""
    return click.option(
        "--kind",
        type=click.Choice(["superpixels", "supervoxels"]),
        default="superpixels",
        show_default=True,
        help="Pseudo-labels: parts of a slice, or of the whole scan.",
    )


def legacy_names(text: str | None, known: Sequence[str]) -> tuple[str, ...]:
    """What --legacy names: `all` of those a command knows, or some."""
    if text is None:
        return ()
    return tuple(known) if text == "all" else tuple(dict.fromkeys(part.strip() for part in text.split(",")))


def set_option(text: str) -> Decorator:
    """--set NAME=VALUE, any number of times."""
    return click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help=text)


def device_option() -> Decorator:
    """--device NAME."""
    return click.option("--device", default="auto", show_default=True, help="auto (CUDA, else CPU), cpu, cuda:1, mps.")


def threads_option() -> Decorator:
    """--threads N."""
    return click.option("--threads", type=click.IntRange(1), help="CPU threads; all cores by default.")


def weights_option() -> Decorator:
    """--weights RUN|FILE|bundled."""
    return click.option("--weights", metavar="RUN|FILE|bundled", help="Trained weights; bundled by default.")


def overwrite_option(what: str) -> Decorator:
    """--overwrite."""
    return click.option("--overwrite", is_flag=True, help=f"Replace {what} that are there.")


def set_threads(threads: int | None) -> None:
    """Let torch use this many CPU threads."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
