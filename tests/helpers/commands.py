"""What tests of commands have in common."""

from pathlib import Path
from typing import Any


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def segment(out: Path, data: Path, weights: Path, *more: object) -> list[str]:
    """Arguments of `psmnet segment` with patient 1 of a folder of phantoms as the support."""
    support = ("--support", data / "image_1.nii.gz", data / "label_1.nii.gz")
    return [str(a) for a in ("segment", *more, *support, "--out", out, "--weights", weights, "--device", "cpu")]


def only_line(outcome: Any) -> str:
    """The one line that a command was refused with, without its first word."""
    assert outcome.code == 2, outcome
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("psmnet: ")
    assert "; " in lines[0], "a remedy"
    assert "Traceback" not in outcome.out
    return lines[0].removeprefix("psmnet: ")
