"""The command line: each command is one file; this one lists them and turns errors into one line and exit code 2."""

import importlib
import os
import sys
import warnings
from typing import Any

import rich_click as click

from psmnet.cli.hints import HINTS
from psmnet.errors import PsmnetError
from psmnet.runtime import keep_memory

COMMANDS = {
    "demo": "Segment unseen synthetic patients from one labelled one.",
    "segment": "Segment scans from one or more labelled ones.",
    "suggest": "Say which scans to label first.",
    "volumes": "Volumes and shape measures of masks.",
    "serve": "Open a page to segment, look and correct in the browser.",
    "download": "Fetch a free data set, or say where to register.",
    "prepare": "Bring a raw data set, or your own scans, into the normalised layout.",
    "check": "Tell what is wrong with prepared data.",
    "export": "Write prepared data as an nnU-Net data set.",
    "evaluate": "Score a method on one fold of a data set.",
    "bench": "Train and score methods by a recipe, cell by cell.",
    "report": "Compare methods: tables, plots and pictures from results files.",
    "adapt": "Fit the weights to your own unlabelled scans.",
    "train": "Train on unlabelled scans (self-supervised).",
    "pretrain": "Train on random synthetic images; makes the bundled weights.",
    "pseudolabel": "Make the superpixels that training draws from.",
    "phantom": "Write synthetic patients as a data set.",
    "info": "Data sets, methods, presets, versions.",
}


class LazyGroup(click.RichGroup):
    """Imports a command when it is used, so that --help answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of a name."""
        if name not in COMMANDS:
            return None
        if ctx.invoked_subcommand is None and ctx.obj != name:  # --help lists names and lines, no code
            return click.RichCommand(name=name, short_help=COMMANDS[name], help=COMMANDS[name])
        command: click.Command = importlib.import_module(f"psmnet.cli.{name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Mark the command in use."""
        ctx.obj = args[0] if args else None
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="psmnet")
def command() -> None:
    """Few-shot medical image segmentation: one labelled scan in, the same organs out in other scans.

    For research; not a medical device.
    """


def main(args: list[str] | None = None) -> None:
    """Entry point of `psmnet`."""
    for stream in (sys.stdout, sys.stderr):
        # Names of any script must not crash a pipe into ASCII or cp1252.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = _one_line
    keep_memory()
    try:
        # Outside its standalone mode click returns the code of ctx.exit.
        if code := command.main(args, prog_name="psmnet", standalone_mode=False):
            sys.exit(code)
    except PsmnetError as error:
        _fail(error.worded(HINTS))
    except click.ClickException as error:
        _fail(f"{error.format_message().rstrip('.')}; see psmnet --help")
    except (KeyboardInterrupt, click.Abort):
        print("psmnet: interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at exit
        sys.exit(1)
    except OSError as error:  # a folder that may not be listed, a name that is too long
        what = f"use {error.filename}" if error.filename else "write the output"
        _fail(f"can't {what} ({error.strerror or error}); check paths, permissions and free space")


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    """A warning without the file and line of code that gave it."""
    return f"psmnet: warning: {message}\n"


def _fail(message: str) -> None:
    print(f"psmnet: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
