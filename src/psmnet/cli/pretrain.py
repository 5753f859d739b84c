"""psmnet pretrain."""

from pathlib import Path

import rich_click as click

from psmnet.cli.options import run_option, run_options
from psmnet.cli.train import start
from psmnet.training import RunSpec, run_training


@click.command("pretrain")
@run_option()
@run_options(RunSpec, run_training)
def command(out: Path, **options: object) -> None:
    """Train a method on random synthetic images only.

    No patient's scan is used, so no licence of a data set applies to the weights. The bundled weights were trained
    this way.
    """
    start({"dataset": "synthetic", **options}, out, None, None)
