"""Results files: their schema, the files beside them, and the summary of their records."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from psmnet.evaluation.metrics import METRICS

MASKS_SUFFIX = "_masks"  # of the folder beside a results file that holds its predictions
SCHEMA = "psmnet-results-1"
PLAN_NAME = "bench.json"  # of the list, beside a benchmark's results, of all results that it is to have


def masks_folder(results: Path) -> Path:
    """Where the masks behind a results file lie, if they were kept: see `mask_path`."""
    return results.with_name(results.stem + MASKS_SUFFIX)


def mask_path(folder: Path, case: str, label: str) -> Path:
    """File of one prediction in that folder; organs may be called anything, files may not."""
    plain = re.sub(r"[^\w.-]", "_", label)
    return folder / f"{case}_{plain}.nii.gz"


def summarise(records: list[dict[str, Any]], organs: Sequence[str], not_evaluated: dict[str, int]) -> dict[str, Any]:
    """Means over query scans by label, and the mean of those; what has no value is left out and counted."""
    columns: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in organs}
    for record in records:
        for metric in METRICS:
            if record[metric] is not None:
                columns[record["label"]][metric].append(record[metric])

    def table(reduce: Callable[[list[float]], float]) -> dict[str, dict[str, float | None]]:
        return {
            name: {m: reduce(values[m]) if values[m] else None for m in METRICS} for name, values in columns.items()
        }

    by_label = table(lambda values: float(np.mean(values)))
    means = {m: [row[m] for row in by_label.values() if row[m] is not None] for m in METRICS}
    return {
        "mean": {m: float(np.mean(values)) if values else None for m, values in means.items()},  # type: ignore[arg-type]  # None was left out
        "by_label": by_label,
        "std": table(lambda values: float(np.std(values))),
        "n": {name: {m: len(values[m]) for m in METRICS} for name, values in columns.items()},
        "n_absent": sum(record["false_positive_ml"] is not None for record in records),
        "n_empty_prediction": sum(record["empty_prediction"] for record in records),
        "n_not_evaluated": not_evaluated,
    }
