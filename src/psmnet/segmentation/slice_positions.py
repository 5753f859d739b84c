"""Positions of an organ on the slices of a scan, as viewers show them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from psmnet.volume import Array, Reorientation, Volume


@dataclass(frozen=True)
class SlicePosition:
    """A slice of a scan and the position of an organ on it.

    Attributes:
        number: of the slice along the stored slice axis, from 1.
        at_mm: physical position (x, y, z), LPS: the organ's centre on the slice, or the slice's centre without it.
    """

    number: int
    at_mm: tuple[float, float, float]

    def as_json(self) -> dict[str, Any]:
        """Plain values, with the position in NIfTI's frame (RAS), which viewers use."""
        x, y, z = self.at_mm
        return {"slice": self.number, "mm": [round(-x, 3), round(-y, 3), round(z, 3)]}


def organ_positions(
    seen: Volume, turn: Reorientation, slices: npt.NDArray[np.int64], inside_zyx: Array
) -> tuple[SlicePosition, ...]:
    """Positions of an organ on some slices of a scan.

    Args:
        seen: the scan, slices first.
        turn: the reorientation from its stored axes.
        slices: their numbers in `seen`.
        inside_zyx: bool, the organ's mask in `seen`.
    """
    count, rows, columns = seen.array_zyx.shape
    positions = []
    for number in slices.tolist():
        ys, xs = np.nonzero(inside_zyx[number])
        x, y = (xs.mean(), ys.mean()) if len(xs) else ((columns - 1) / 2, (rows - 1) / 2)
        at = seen.affine @ (x, y, number, 1)
        stored = count - 1 - number if turn.flips[2] else number
        positions.append(SlicePosition(stored + 1, (float(at[0]), float(at[1]), float(at[2]))))
    return tuple(positions)
