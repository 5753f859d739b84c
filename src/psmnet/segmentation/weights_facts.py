"""What a weights file is for and what it was trained on, in plain values."""

from pathlib import Path
from typing import Any

from psmnet.models import find_weights, is_learned, load_weights
from psmnet.segmentation.learned_weights import LearnedWeights, load_learned


def describe_weights(source: str | Path) -> dict[str, Any]:
    """Facts of weights by name: `bundled`, a run's folder, or a file.

    Returns:
        a flat record of plain values; kind is "learned network" or "few-shot method".

    Raises:
        InputError: there are none, or they can't be used.
    """
    path = find_weights(source)
    return _of_learned(load_learned(path)) if is_learned(path) else _of_method(path)


def _of_learned(weights: LearnedWeights) -> dict[str, Any]:
    taught, view = weights.taught_by, weights.view
    return {
        "kind": "learned network",
        "organs": {str(value): organ.name for value, organ in weights.organs.items()},
        "labelled scans": len(taught.labelled),
        "unlabelled scans": len(taught.cohort),
        "modalities": sorted(modality for modality in weights.modalities if modality),
        "training steps": taught.steps,
        "seed": taught.seed,
        "began with": taught.init,
        "mm per pixel": round(view.pixel_mm, 4),
        "normalisation": view.normalisation.rule,
        "version": taught.version,
        "sha256": weights.sha256,
    }


def _of_method(path: Path) -> dict[str, Any]:
    weights = load_weights(path)
    trained = weights.trained_on
    return {
        "kind": "few-shot method",
        "method": weights.config.method,
        "settings that differ": weights.variant,
        "trained on": trained.dataset,
        "cases": len(trained.cases),
        "fold left out": trained.fold,
        "training steps": trained.steps,
        "seed": trained.seed,
        "began with": trained.init,
        "normalisation": weights.normalisation.rule,
        "licence of the images": trained.licence,
        "version": trained.version,
        "sha256": weights.sha256,
    }
