"""What a benchmark was asked for: a list beside its results, so that a report can say what is still to come."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from psmnet.errors import InputError
from psmnet.evaluation import PLAN_NAME
from psmnet.system import read_json, write_json

SCHEMA = "psmnet-bench-1"


def add_asked(out: Path, results: Iterable[Path]) -> None:
    """Add results files, there or not, to the list of a folder.

    Raises:
        InputError: it can't be written.
    """
    names = {path.relative_to(out).as_posix() for path in results}
    write_json(out / PLAN_NAME, {"schema": SCHEMA, "results": sorted(names | set(_asked(out)))})


def unfinished(folders: Sequence[Path]) -> list[str]:
    """A remark for each folder of results that lacks some of those it was asked for."""
    counts = {folder: results_done(folder) for folder in folders}
    return [
        f"{folder.name} is unfinished: {done} of {asked} results are there, run psmnet bench again"
        for folder, (done, asked) in counts.items()
        if done < asked
    ]


def results_done(folder: Path) -> tuple[int, int]:
    """How many of the results that a folder was asked for are there, and how many there are to be."""
    asked = _asked(folder)
    return sum((folder / name).exists() for name in asked), len(asked)


def _asked(folder: Path) -> list[str]:
    """The list of a folder; nothing where there is none, or none that can be read."""
    try:
        content = read_json(folder / PLAN_NAME)
    except InputError:
        return []
    names = content.get("results") if isinstance(content, dict) and content.get("schema") == SCHEMA else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
