"""Probabilities of organs between a scan's own grid and the student's pixels, as one byte each."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from psmnet.segmentation import LEVELS, Segmentation, StudentView
from psmnet.volume import Array, Reorientation, Volume


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


def winners(probabilities: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Rank, 1..K, of the organ with more than half of each pixel (Z, h, w); 0 where none has.

    Args:
        probabilities: (K, Z, h, w), as bytes 0..LEVELS or as floats 0..1.
    """
    ranks: npt.NDArray[np.intp] = np.where(
        probabilities.max(axis=0) > _one(probabilities) / 2, 1 + probabilities.argmax(axis=0), 0
    )
    return ranks


def confidence(probabilities: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean probability (K,), 0..1, over the pixels where each organ wins; 0 where it wins none; see `winners`."""
    best, wins = probabilities.max(axis=0), winners(probabilities)
    return np.array(
        [
            float(best[wins == k].mean(dtype=np.float64) / _one(probabilities)) if (wins == k).any() else 0.0
            for k in range(1, len(probabilities) + 1)
        ]
    )


def agreement(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Dice (K,), 0..1, of the masks of two sets of probabilities (K, Z, h, w); 0 where both are empty."""
    ours, theirs = winners(one), winners(other)
    found = []
    for rank in range(1, len(one) + 1):
        first, second = ours == rank, theirs == rank
        total = int(first.sum()) + int(second.sum())
        found.append(2 * int((first & second).sum()) / total if total else 0.0)
    return np.array(found)


def as_levels(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Probabilities 0..1 as bytes 0..LEVELS."""
    levels: npt.NDArray[np.uint8] = np.rint(probabilities * LEVELS).astype(np.uint8)
    return levels


def _one(probabilities: npt.NDArray[Any]) -> int:
    """What stands for a probability of 1."""
    return LEVELS if probabilities.dtype == np.uint8 else 1
