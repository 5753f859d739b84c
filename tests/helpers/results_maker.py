"""Results files with figures that a test chooses."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NOTE = "EP1 is told where each organ begins and ends in the query."


def record(case: str, label: str, dice: float | None, **values: Any) -> dict[str, Any]:
    """One organ of one scan; None is an organ that the reference lacks."""
    absent = dice is None
    made = {
        "case": case,
        "label": label,
        "slices": 10,
        "dice": dice,
        "iou": None if absent else dice / (2 - dice),
        "precision": dice or None,
        "recall": dice,
        "hd95_mm": 40 * (1 - dice) if dice else None,
        "assd_mm": 10 * (1 - dice) if dice else None,
        "nsd_2mm": dice,
        "false_positive_ml": 1.5 if absent else None,
        "empty_prediction": dice == 0,
    }
    return made | values


def results(
    dice: Mapping[str, Mapping[str, float | None]],
    *,
    method: str = "psmnet",
    fold: int = 0,
    seed: int | None = 0,
    supports: tuple[str, ...] = ("s",),
    trained: Mapping[str, Any] | None = None,
    free: bool = False,
    **top: Any,
) -> dict[str, Any]:
    """A results file's content.

    Args:
        dice: case to organ to Dice.
        method, fold, seed, supports: of the cell.
        trained: entries of trained_on to change.
        free: of a method without training.
        top: other entries to change, at the top, or in `provenance`.
    """
    trained_on = {"dataset": "chaos-t2", "pseudolabels": "superpixels", "steps": 1000, "preset": "compact"}
    cases = [record(case, label, value) for case, organs in dice.items() for label, value in organs.items()]
    provenance = {
        "note": NOTE,
        "queries": list(dice),
        "supports": list(supports),
        "checksums": {case: f"sum of {case}" for case in (*dice, *supports)},
        "allow_seen": False,
        "seen_in_training": [],
        "weights_sha256": None if free else "ab" * 32,
        "trained_on": None if free else trained_on | {"seed": seed} | dict(trained or {}),
        "model": {"method": method, "input_size": 64},
        "versions": {"python": "3.11.7", "psmnet": "0.1.0", "torch": "2.13.0"},
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 2, "threads": 1},
        "seconds": 12.5,
    }
    return {
        "schema": "psmnet-results-1",
        "method": method,
        "variant": None,
        "dataset": "chaos-t2",
        "protocol": "ep1",
        "setting": 1,
        "group": None,
        "setting2": None,
        "folds": "ouyang",
        "institution": None,
        "fold": fold,
        "shots": len(supports),
        "seed": None if free else seed,
        "postprocess": None,
        "legacy": [],
        "summary": {"by_label": {}},
        "cases": cases,
        "provenance": provenance | top.pop("provenance", {}),
    } | top


def write_results(path: Path, dice: Mapping[str, Mapping[str, float | None]], **options: Any) -> Path:
    """Write it where it is wanted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results(dice, **options)), encoding="utf-8")
    return path
