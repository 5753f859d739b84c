"""The plan of a benchmark: a list of its results files, kept beside them, so that a report can name what is missing."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field

from psmnet.evaluation import PLAN_NAME
from psmnet.system import StoredFile


class Plan(StoredFile):
    """What a folder of results is to hold.

    Attributes:
        results: paths of results files, relative to the folder.
    """

    SCHEMA = "psmnet-bench-1"

    results: list[str] = Field(default_factory=list)


def add_to_plan(out: Path, results: Iterable[Path]) -> None:
    """Add results files, there or not, to the plan of a folder.

    Raises:
        InputError: it can't be written.
    """
    plan = _plan(out)
    plan.results = sorted({path.relative_to(out).as_posix() for path in results} | set(plan.results))
    plan.write(out / PLAN_NAME)


def unfinished(folders: Sequence[Path]) -> list[str]:
    """A remark for each folder of results that lacks some of those that were planned."""
    counts = {folder: results_done(folder) for folder in folders}
    return [
        f"{folder.name} is unfinished: {done} of {planned} results are there, run psmnet bench again"
        for folder, (done, planned) in counts.items()
        if done < planned
    ]


def results_done(folder: Path) -> tuple[int, int]:
    """How many of the planned results of a folder are there, and how many are planned."""
    planned = _plan(folder).results
    return sum((folder / name).exists() for name in planned), len(planned)


def _plan(folder: Path) -> Plan:
    """The plan of a folder; an empty one where there is none, or none that can be read."""
    return Plan.find(folder / PLAN_NAME) or Plan()
