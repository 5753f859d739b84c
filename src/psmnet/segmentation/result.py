"""The result of segmenting a query: label map, probabilities and confidence."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from psmnet.segmentation.slice_matches import SliceMatch
from psmnet.volume import Array, Reorientation, Volume

LEVELS = 255  # a probability of 1, stored in 8 bits
EVEN = LEVELS // 2


def levels_of(probability: Tensor) -> npt.NDArray[np.uint8]:
    """Probabilities of any shape as 0..LEVELS."""
    levels: npt.NDArray[np.uint8] = (probability * LEVELS).round().to(torch.uint8).numpy()
    return levels


def mean_confidence(ranks: Array, foreground: npt.NDArray[np.uint8], organs: int) -> list[float]:
    """Mean probability over the voxels of each rank 1 to `organs`; 0 for a rank without voxels."""
    total, found = np.zeros(organs + 1), np.zeros(organs + 1, dtype=np.int64)
    for seen, sure in zip(ranks, foreground, strict=True):  # slice by slice: bincount needs eight times their memory
        total += np.bincount(seen.ravel(), sure.ravel(), organs + 1)
        found += np.bincount(seen.ravel(), minlength=organs + 1)
    return [float(t / (LEVELS * n)) if n else 0.0 for t, n in zip(total[1:], found[1:], strict=True)]


@dataclass(frozen=True)
class Segmentation:
    """The result of segmenting a query.

    Attributes:
        labels: label map on the query's own grid.
        confidence: mean foreground probability over each label's voxels, 0..1; 0 for a label that was not found.
        view: reorientation from the stored axes to slices first, as the network saw them.
        notes: remarks for the user, one line each.
        foreground: highest probability of any label in each voxel, as 0..LEVELS; 0 where no label was searched, at most
            a half where clean-up removed the label. None for methods without probabilities.
        probabilities: the same per label, before labels compete and clean-up; empty unless requested.
        matches: for each label that could be located, the slices in which it was searched and what served them; empty
            for methods without slices.
    """

    labels: Volume
    confidence: dict[int, float]
    view: Reorientation
    notes: tuple[str, ...]
    foreground: npt.NDArray[np.uint8] | None = None
    probabilities: Mapping[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    matches: Mapping[int, tuple[SliceMatch, ...]] = field(default_factory=dict)

    def probability(self, value: int) -> Volume:
        """Probability of a label in each voxel, 0..1."""
        return self._of_levels(self.probabilities[value])

    def uncertainty(self) -> Volume:
        """Uncertainty 1 - |2 p - 1| of each voxel: 0 where the decision was certain, 1 where p was a half."""
        assert self.foreground is not None
        p = self._of_levels(self.foreground)
        return p.with_array(1 - np.abs(2 * p.array_zyx - 1))

    def _of_levels(self, levels: npt.NDArray[np.uint8]) -> Volume:
        return self.labels.with_array(levels.astype(np.float32) / LEVELS)

    def volumes_ml(self) -> dict[int, float]:
        """Volume of each label in millilitres."""
        voxel_ml = float(np.prod(self.labels.spacing_mm)) / 1000
        return {value: float((self.labels.array_zyx == value).sum()) * voxel_ml for value in self.confidence}
