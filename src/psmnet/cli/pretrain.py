"""psmnet pretrain."""

from pathlib import Path

import rich_click as click

from psmnet.cli.options import run_options
from psmnet.cli.train import start


@click.command("pretrain")
@run_options()
def command(out: Path, **options: object) -> None:
    """Train on random synthetic images alone: no scan of anyone, so the weights carry no data licence."""
    start({"dataset": "synthetic", **options}, out, None, None)
