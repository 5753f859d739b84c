"""The log of a training run: a file of metrics, TensorBoard events and the caller."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

METRICS_NAME = "metrics.jsonl"

StepCallback = Callable[[int, dict[str, float]], None]
"""Gets the number of steps done and the last step's losses by name."""


class RunLog:
    """Writes the losses of each step; a context manager.

    Args:
        run: folder of the run.
        start: steps done before; metrics of later steps are removed, since those steps are done again.
        report: called after every step, if given.
    """

    def __init__(self, run: Path, start: int, report: StepCallback | None) -> None:
        _cut_metrics(run / METRICS_NAME, start)
        self._metrics = (run / METRICS_NAME).open("a", buffering=1, encoding="utf-8")
        self._board = _tensorboard(run)
        self._report = report

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._metrics.close()
        if self._board is not None:
            self._board.close()

    def write(self, step: int, rate: float, losses: dict[str, float]) -> None:
        """Write the losses of a step, counted from 0; files count from 1."""
        self._metrics.write(json.dumps({"step": step + 1, "learning_rate": rate, **losses}) + "\n")
        if self._board is not None:
            for name, value in losses.items():
                self._board.add_scalar(f"loss/{name}", value, step + 1)

    def report(self, step: int, losses: dict[str, float]) -> None:
        """Call the caller's function for a finished step, counted from 0, after its checkpoint was written."""
        if self._report is not None:
            self._report(step + 1, losses)


def _cut_metrics(path: Path, steps: int) -> None:
    """Remove the lines that a killed run wrote after its last checkpoint."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:steps]), encoding="utf-8")


def _tensorboard(run: Path) -> Any:
    """A TensorBoard writer where the extra `train` is installed, else None."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(run / "tensorboard"))
