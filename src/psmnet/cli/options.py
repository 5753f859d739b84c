"""Options that several commands share, and what their help is made of."""

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rich_click as click
from rich.text import Text

from psmnet.catalog import DATASETS, FOLDS
from psmnet.config import PRESETS
from psmnet.errors import unknown
from psmnet.models import METHODS

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

DATA = click.Path(path_type=Path)


class MethodName(click.Choice[str]):
    """A method's name; the error for an unknown one suggests the closest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name itself."""
        if value not in METHODS:
            raise unknown("method", str(value), self.choices)
        return super().convert(value, param, ctx)


def examples(*lines: str) -> Text:
    """Usage examples, for the end of a command's help: one a line."""
    return Text("\n".join(["Examples:", *(f"  psmnet {line}" for line in lines)]))


def default_of(function: Callable[..., Any], argument: str) -> Any:
    """The default that the library gives an argument."""
    return inspect.signature(function).parameters[argument].default


def together(*options: Decorator) -> Decorator:
    """Several options, shown by --help in this order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def dataset_option() -> Decorator:
    """--dataset NAME."""
    text = f"Data set that DATA holds: {', '.join(DATASETS)}."
    return click.option("--dataset", required=True, metavar="NAME", help=text)


def setting_options(library: Callable[..., Any]) -> Decorator:
    """--folds, --institution, --setting and --group, with the defaults of a function of the library."""
    return together(
        click.option(
            "--folds",
            metavar="NAME",
            default=default_of(library, "folds"),
            show_default=True,
            help=f"How cases are split into folds: {', '.join(FOLDS)}.",
        ),
        click.option("--institution", metavar="NAME", help="Institution that is tested, for --folds li."),
        click.option(
            "--setting",
            type=int,
            metavar="1|2",
            default=default_of(library, "setting"),
            show_default=True,
            help="1: training uses all slices. 2: training uses no slice that shows a tested organ.",
        ),
        click.option("--group", metavar="GROUP", help="Organs that are tested in Setting 2: upper or lower."),
    )


def run_options(spec: Callable[..., Any], run: Callable[..., Any]) -> Decorator:
    """What every training takes, with the defaults of the library's specification and of its training."""
    trained = METHODS.trained()
    return together(
        click.option(
            "--method",
            type=MethodName(trained),
            metavar="NAME",
            default=default_of(spec, "method"),
            show_default=True,
            help=f"Method to train: {', '.join(trained)}.",
        ),
        set_option("Change a setting of the network or the method, for example attention=text."),
        click.option(
            "--preset",
            metavar="NAME",
            default=default_of(spec, "preset"),
            show_default=True,
            help=f"Network and training: {' or '.join(PRESETS)} (as published; slow without a GPU).",
        ),
        click.option("--steps", type=int, metavar="N", help="Training steps (default: the preset's)."),
        click.option("--pairs", type=int, metavar="N", help="Image pairs in a batch (default: the preset's)."),
        precision_option("the preset's"),
        seed_option("Seed of the initial weights and of the training images.", default_of(spec, "seed")),
        resume_option(),
        click.option(
            "--accumulate",
            type=click.IntRange(1),
            metavar="N",
            default=default_of(run, "accumulate"),
            show_default=True,
            help="Split each batch into N parts, which needs less memory.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(0),
            metavar="N",
            default=default_of(run, "workers"),
            show_default=True,
            help="Processes that prepare batches, useful with a GPU. 0: a thread does it.",
        ),
        device_option(),
        threads_option(),
    )


def run_option() -> Decorator:
    """--out RUN of a training."""
    text = "Folder of this run: weights and progress."
    return click.option("--out", type=DATA, required=True, metavar="RUN", help=text)


def precision_option(default: str) -> Decorator:
    """--precision NAME of a training."""
    text = f"Precision of the encoder: float32, or bfloat16 if the processor has it (default: {default})."
    return click.option("--precision", metavar="NAME", help=text)


def seed_option(text: str, default: int) -> Decorator:
    """--seed N."""
    return click.option("--seed", type=int, metavar="N", default=default, show_default=True, help=text)


def resume_option() -> Decorator:
    """--resume."""
    return click.option("--resume", is_flag=True, help="Continue a run that was interrupted.")


def series_option() -> Decorator:
    """--series UID, any number of times."""
    text = "SeriesInstanceUID to read from DICOM folders (default: the largest series). Can be repeated."
    return click.option("--series", metavar="UID", multiple=True, help=text)


def names_option() -> Decorator:
    """--names FILE."""
    text = "File with the organ names of label values: JSON, CSV, or from ITK-SNAP or 3D Slicer."
    return click.option("--names", type=DATA, metavar="FILE", help=text)


def method_option() -> Decorator:
    """--method NAME, of a command that uses weights."""
    return click.option(
        "--method",
        type=MethodName(list(METHODS)),
        metavar="NAME",
        help=f"Method that compares the scans: {', '.join(METHODS)} (default: the one that the weights are for).",
    )


def jobs_option() -> Decorator:
    """--jobs N."""
    return click.option(
        "--jobs",
        type=click.IntRange(1),
        metavar="N",
        default=lambda: os.cpu_count(),
        help="Cases that are processed at the same time (default: one per core).",
    )


def kind_option(default: str) -> Decorator:
    """--kind superpixels|supervoxels."""
    return click.option(
        "--kind",
        type=click.Choice(["superpixels", "supervoxels"]),
        metavar="KIND",
        default=default,
        show_default=True,
        help="Pseudo-labels: superpixels (parts of a slice) or supervoxels (parts of the whole scan).",
    )


def legacy_option(known: Sequence[str]) -> Decorator:
    """--legacy NAMES."""
    text = f"Reproduce known bugs of published code, to compare with its results: all, or any of {', '.join(known)}."
    return click.option("--legacy", metavar="NAMES", help=text)


def legacy_names(text: str | None, known: Sequence[str]) -> tuple[str, ...]:
    """What --legacy names: `all` of those a command knows, or some."""
    if text is None:
        return ()
    return tuple(known) if text == "all" else tuple(dict.fromkeys(part.strip() for part in text.split(",")))


def set_option(text: str) -> Decorator:
    """--set NAME=VALUE, any number of times."""
    return click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help=f"{text} Can be repeated.")


def device_option() -> Decorator:
    """--device NAME."""
    return click.option(
        "--device",
        metavar="NAME",
        default="auto",
        show_default=True,
        help="Where to compute: auto (CUDA if there is one, else CPU), cpu, cuda:1 or mps.",
    )


def threads_option() -> Decorator:
    """--threads N."""
    return click.option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads (default: one per core).")


def weights_option() -> Decorator:
    """--weights RUN|FILE|bundled."""
    text = "Trained weights: folder of a run, a file, or bundled (default)."
    return click.option("--weights", metavar="RUN|FILE|bundled", help=text)


def overwrite_option(what: str) -> Decorator:
    """--overwrite."""
    return click.option("--overwrite", is_flag=True, help=f"Replace {what} that already exist.")


def set_threads(threads: int | None) -> None:
    """Let torch use this many CPU threads."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
