"""Where an organ lies on the slices of a scan, in words that people and viewers share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from psmnet.volume import Array, Reorientation, Volume


@dataclass(frozen=True)
class SlicePlace:
    """A slice of a scan, and where an organ lies on it.

    Attributes:
        number: of the slice along the stored axis that runs across slices, from 1.
        at_mm: physical position (x, y, z), LPS: the organ's middle on it, or the slice's where it is not there.
    """

    number: int
    at_mm: tuple[float, float, float]

    def as_json(self) -> dict[str, Any]:
        """With the position as NIfTI has it (RAS), which viewers use."""
        x, y, z = self.at_mm
        return {"slice": self.number, "mm": [round(-x, 3), round(-y, 3), round(z, 3)]}


def organ_places(
    seen: Volume, turn: Reorientation, slices: npt.NDArray[np.int64], inside_zyx: Array
) -> tuple[SlicePlace, ...]:
    """Places of an organ on some slices of a scan.

    Args:
        seen: the scan, slices first.
        turn: what brought its stored axes there.
        slices: their numbers in `seen`.
        inside_zyx: bool, where the organ is in `seen`.
    """
    count, rows, columns = seen.array_zyx.shape
    places = []
    for number in slices.tolist():
        ys, xs = np.nonzero(inside_zyx[number])
        x, y = (xs.mean(), ys.mean()) if len(xs) else ((columns - 1) / 2, (rows - 1) / 2)
        at = seen.affine @ (x, y, number, 1)
        stored = count - 1 - number if turn.flips[2] else number
        places.append(SlicePlace(stored + 1, (float(at[0]), float(at[1]), float(at[2]))))
    return tuple(places)
