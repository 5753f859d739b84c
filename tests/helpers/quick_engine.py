"""An engine for tests of the queue: its process starts in a moment, and its jobs take as long as a test wants."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from psmnet.viewer.task import PROGRESS, LearnTask, Task

RESULT_BYTES = 10_000


@dataclass(frozen=True)
class QuickEngine:
    """Stands in for `psmnet.viewer.Engine`.

    Attributes:
        seconds: that each job takes.
    """

    seconds: float = 0.0
    device: str = "cpu"

    def runner(self) -> Callable[[Task], dict[str, Any]]:
        """For the process of jobs."""
        return partial(work, self.seconds)


def work(seconds: float, task: Task) -> dict[str, Any]:
    """Wait, with progress on the way, and leave a file."""
    task.out.mkdir(exist_ok=True)
    for done in (0.25, 0.75):
        (task.out / PROGRESS).write_text(json.dumps({"progress": done, "stage": "working"}))
        time.sleep(seconds / 2)
    (task.out / "result").write_bytes(bytes(RESULT_BYTES))
    organ = {"value": 1, "name": "liver", "colour": "#ff0000", "volume_ml": 1.0, "confidence": 1.0, "flags": []}
    return {"organs": [organ | {"metrics": None}], "notes": [], "seconds": seconds, "files": []}


@dataclass(frozen=True)
class DyingEngine:
    """Its process is killed, as by a system without memory, the first times that it learns.

    Attributes:
        times: that it is killed.
    """

    times: int
    device: str = "cpu"

    def runner(self) -> Callable[[LearnTask], dict[str, Any]]:
        """For the process of jobs."""
        return partial(die, self.times)


def die(times: int, task: LearnTask) -> dict[str, Any]:
    """Leave a file for each time; the result tells how many there are."""
    task.out.mkdir(exist_ok=True)
    before = len(list(task.out.glob("try_*")))
    (task.out / f"try_{before}").touch()
    if before < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"scans": [], "left_out": [], "notes": [], "seconds": before, "files": []}
