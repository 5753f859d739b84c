"""What a query was given: its label map, and how sure that is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from psmnet.segmentation.slice_matches import Match
from psmnet.volume import Reorientation, Volume

LEVELS = 255  # of a probability kept in 8 bits


@dataclass(frozen=True)
class Segmentation:
    """What a query was given.

    Attributes:
        labels: label map on the query's own grid.
        confidence: mean foreground probability over each label's voxels, 0..1; 0 for a label that was not found.
        view: how the stored axes turn to slices first, as the network saw them.
        notes: what a user should know, a line each.
        foreground: highest probability of any label in each voxel, as 0..LEVELS; 0 where none was looked for, a half
            where clean-up overruled it. None from a method that has none.
        probabilities: of each label, alike, before labels compete and clean-up; empty unless asked for.
        matches: of each label that could be located, the slices where it was looked for and what served them; empty
            from a method without such.
    """

    labels: Volume
    confidence: dict[int, float]
    view: Reorientation
    notes: tuple[str, ...]
    foreground: npt.NDArray[np.uint8] | None = None
    probabilities: Mapping[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    matches: Mapping[int, tuple[Match, ...]] = field(default_factory=dict)

    def probability(self, value: int) -> Volume:
        """Of a label in each voxel, 0..1."""
        return self._of_levels(self.probabilities[value])

    def uncertainty(self) -> Volume:
        """0 where the decision for or against any label was clear, 1 where it was even: 1 - |2 p - 1|."""
        assert self.foreground is not None
        p = self._of_levels(self.foreground)
        return p.with_array(1 - np.abs(2 * p.array_zyx - 1))

    def _of_levels(self, levels: npt.NDArray[np.uint8]) -> Volume:
        return self.labels.with_array(levels.astype(np.float32) / LEVELS)

    def volumes_ml(self) -> dict[int, float]:
        """Volume of each label in millilitres."""
        voxel_ml = float(np.prod(self.labels.spacing_mm)) / 1000
        return {value: float((self.labels.array_zyx == value).sum()) * voxel_ml for value in self.confidence}
