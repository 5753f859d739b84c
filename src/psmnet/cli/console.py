"""What commands print with: progress on standard error, results on standard output."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from psmnet.cli.hints import HINTS
from psmnet.errors import InputError, PsmnetError
from psmnet.system import counted

out = Console(highlight=False, soft_wrap=True, markup=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def say(line: str) -> None:
    """One line about what is being done; on standard output, because standard error has only errors and progress."""
    out.print(line)


def fail_on(failed: Mapping[str, PsmnetError | str], remedy: str, *, what: str = "case") -> None:
    """Report each case (or scan, mask, cell) that failed in a line of its own.

    Raises:
        InputError: at least one failed; names them all.
    """
    for case_id, error in failed.items():
        text = error.worded(HINTS) if isinstance(error, PsmnetError) else error
        err.print(f"failed: {what} {case_id}: {text}")
    if failed:
        raise InputError(f"{counted(len(failed), what)} failed: {', '.join(failed)}", remedy)


@contextlib.contextmanager
def progress(title: str, total: int | None, *, shown: bool = True) -> Iterator[Callable[..., None]]:
    """A bar with time left; yields `advance(done, note, total)`, the last two optional. Only shown on a terminal."""
    with _bars(shown) as bar:
        task = bar.add_task(title, total=total, note="")

        def advance(done: int, note: str = "", total: int | None = total) -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield advance


@contextlib.contextmanager
def stages() -> Iterator[Callable[..., None]]:
    """A bar with time left for each stage of long work; yields `advance(stage, done, total, note)`."""
    with _bars(True) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(stage: str, done: int, total: int, note: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, note="")
            bars.update(tasks[stage], completed=done, total=total, note="" if done == total else note)

        yield advance


def _bars(shown: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, console=err, disable=not (shown and err.is_terminal))
