"""The command line: each command is one file; this one lists them and turns errors into one line and exit code 2."""

import importlib
import os
import sys
import warnings
from typing import Any, NoReturn

import rich_click as click

from psmnet.cli.hints import HINTS
from psmnet.errors import PsmnetError
from psmnet.runtime import keep_memory

GROUPS = {
    "Your scans": {
        "demo": "Try it: segment synthetic patients and see how good the masks are.",
        "segment": "Segment scans by the example of one or more labelled scans.",
        "learn": "Learn from one labelled scan and many unlabelled ones, and segment all.",
        "suggest": "Find the scans that are most worth labelling.",
        "adapt": "Train the weights further on your own unlabelled scans.",
        "volumes": "Measure volumes and shapes of masks.",
        "serve": "Segment, view and correct scans on a page in the browser.",
    },
    "Methods and benchmarks": {
        "train": "Train a method on the scans of a data set, without their labels.",
        "pretrain": "Train a method on random synthetic images.",
        "evaluate": "Score a method on one part of a data set.",
        "bench": "Train and score many methods as a recipe lists them.",
        "report": "Compare methods: tables, plots and pictures from results files.",
    },
    "Data": {
        "download": "Download a free data set, or see where to register for it.",
        "prepare": "Convert a downloaded data set, or your own scans, for training.",
        "check": "Check a prepared folder for mistakes.",
        "pseudolabel": "Make the pseudo-labels that training uses in place of labels.",
        "phantom": "Write synthetic patients with labels.",
        "export": "Write a prepared folder as an nnU-Net data set.",
    },
    "Tools": {
        "info": "List data sets, methods, presets and versions.",
    },
}
COMMANDS = {name: line for group in GROUPS.values() for name, line in group.items()}


class LazyGroup(click.RichGroup):
    """Imports a command when it is used, so that --help answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of GROUPS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of a name; only name and line where it is listed by --help."""
        if name not in COMMANDS or (ctx.invoked_subcommand is None and ctx.obj != name):
            return self.commands.get(name)
        command: click.Command = importlib.import_module(f"psmnet.cli.{name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Mark the command that runs."""
        ctx.obj = args[0] if args else None
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    commands={name: click.RichCommand(name=name, short_help=line, help=line) for name, line in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Help on a command: psmnet COMMAND --help",
)
@click.version_option(package_name="psmnet")
@click.rich_config(
    {
        "options_table_column_types": ["required", "opt_all_metavar", "help"],
        "append_metavars_help_string": "{}",
        "text_paragraph_linebreaks": "\n\n",
        "padding_helptext_first_line": (0, 0, 1, 0),
    }
)
def command() -> None:
    """Few-shot segmentation of medical images: give one labelled scan, get the same organs in other scans.

    For research; not a medical device.
    """


for _title, _group in GROUPS.items():
    click.command_panel(_title, commands=list(_group))(command)


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
        _fail(_usage(error))
    except (KeyboardInterrupt, click.Abort):
        print("psmnet: interrupted; finished parts are kept", file=sys.stderr)
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


def _usage(error: click.ClickException) -> str:
    """What is wrong with the arguments, the closest name where one is unknown, and the command's own help."""
    near: list[str] = getattr(error, "possibilities", None) or []  # of an unknown command or option, the closest first
    what = (error.message if near else error.format_message()).rstrip(".")
    guess = f"did you mean {near[0]}? " if near else ""
    context: click.Context | None = getattr(error, "ctx", None)
    return f"{what}; {guess}see {context.command_path if context else 'psmnet'} --help"


def _fail(message: str) -> NoReturn:
    print(f"psmnet: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
