"""Probabilities of organs between a scan's own grid and the student's pixels, as one byte each."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from psmnet.segmentation import Segmentation, StudentView
from psmnet.volume import Array, Reorientation, Volume

LEVELS = 255


def at_students_pixels(
    view: StudentView, turn: Reorientation, scan: Volume, maps: list[Array], scale: float
) -> npt.NDArray[np.uint8]:
    """Maps on a scan's stored grid, one an organ, at the student's pixels.

    Args:
        view: of the student.
        turn: that brings the scan to the view's axes.
        scan: as stored.
        maps: (Z, Y, X) each, as stored, 0..`scale`.
        scale: value that stands for 1.

    Returns:
        (K, Z, h, w), 0..255.
    """
    grid = view.grid(turn.apply(scan))
    found = []
    for stored in maps:
        turned = torch.from_numpy(np.ascontiguousarray(turn.apply_array(stored), dtype=np.float32))
        shown = grid.to_pixels(turned[:, None] / scale, 0.0)[:, 0]
        found.append((shown * LEVELS).round().to(torch.uint8).numpy())
    return np.stack(found)


def probabilities_of(
    result: Segmentation, view: StudentView, turn: Reorientation, scan: Volume, values: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    """Probabilities (K, Z, h, w), 0..255, of a segmentation at the student's pixels."""
    nothing = np.zeros(scan.array_zyx.shape, dtype=np.uint8)
    maps: list[Array] = [result.probabilities.get(value, nothing) for value in values]
    return at_students_pixels(view, turn, scan, maps, LEVELS)


def shares_of(labels: Volume, view: StudentView, turn: Reorientation, values: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Share (K, Z, h, w), 0..255, of each pixel of the student that has each label."""
    maps: list[Array] = [labels.array_zyx == value for value in values]
    return at_students_pixels(view, turn, labels, maps, 1.0)


def confidence(probabilities: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean probability (K,), 0..1, over the pixels where each organ wins with more than a half; 0 where it wins none.

    Args:
        probabilities: (K, Z, h, w), as bytes 0..LEVELS or as floats 0..1.
    """
    levels = LEVELS if probabilities.dtype == np.uint8 else 1
    best, organ = probabilities.max(axis=0), probabilities.argmax(axis=0)
    wins = np.where(best > levels / 2, 1 + organ, 0)
    return np.array(
        [
            float(best[wins == k].mean(dtype=np.float64) / levels) if (wins == k).any() else 0.0
            for k in range(1, len(probabilities) + 1)
        ]
    )


def agreement(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Dice (K,), 0..1, of the masks of two sets of probabilities (K, Z, h, w); 0 where both are empty."""
    found = []
    for first, second in zip(_masks(one), _masks(other), strict=True):
        total = int(first.sum()) + int(second.sum())
        found.append(2 * int((first & second).sum()) / total if total else 0.0)
    return np.array(found)


def _masks(probabilities: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.bool_]]:
    best = probabilities.max(axis=0)
    wins = np.where(best > LEVELS // 2, 1 + probabilities.argmax(axis=0), 0)
    return [wins == k for k in range(1, len(probabilities) + 1)]


def as_levels(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Probabilities 0..1 as bytes 0..LEVELS."""
    levels: npt.NDArray[np.uint8] = np.rint(probabilities * LEVELS).astype(np.uint8)
    return levels
