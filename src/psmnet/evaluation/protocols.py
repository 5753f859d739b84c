"""Evaluation protocols (docs/protocols.md): which slices of support and query are used, for all methods alike."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from psmnet.errors import InputError
from psmnet.volume import Array

PARTS = 3  # EP1 cuts an organ into three parts along z


@dataclass(frozen=True)
class Counted:
    """Slices of a query that count for one organ.

    Attributes:
        slices: (Q,) their numbers, ascending.
        parts: (Q,) the part each belongs to; part k is matched with support slice k.
    """

    slices: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int64]


def ep1_support_slices(organ_zyx: Array) -> npt.NDArray[np.int64]:
    """EP1's three support slices: number (n (2k + 1)) // 6 of the n slices with the organ, k = 0, 1, 2.

    Raises:
        InputError: the support has no voxel of the organ.
    """
    labelled = _labelled(organ_zyx)
    return labelled[[(len(labelled) * (2 * k + 1)) // (2 * PARTS) for k in range(PARTS)]]


def ep2_support_slices(organ_zyx: Array) -> npt.NDArray[np.int64]:
    """EP2's one support slice: number n // 2 of the n slices with the organ.

    Raises:
        InputError: the support has no voxel of the organ.
    """
    labelled = _labelled(organ_zyx)
    return labelled[[len(labelled) // 2]]


def ep1_counted(organ_zyx: Array) -> Counted:
    """EP1's query slices, the organ's first to its last, in three parts; none if the organ is absent."""
    labelled = np.flatnonzero(organ_zyx.any(axis=(1, 2)))
    if len(labelled) == 0:
        return Counted(np.zeros(0, np.int64), np.zeros(0, np.int64))
    first, last = int(labelled[0]), int(labelled[-1])
    slices = np.arange(first, last + 1, dtype=np.int64)
    # In whole numbers: floor((z - z0) / ((z1 - z0) / 3)), free of rounding.
    return Counted(slices, np.minimum(PARTS - 1, (slices - first) * PARTS // max(1, last - first)))


def ep1_labelled_counted(organ_zyx: Array) -> Counted:
    """Only query slices that contain the organ, cut at int(linspace(0, n, 4)) [ADNet, Q-Net]."""
    labelled = np.flatnonzero(organ_zyx.any(axis=(1, 2))).astype(np.int64)
    cuts = np.linspace(0, len(labelled), PARTS + 1).astype(np.int64)
    return Counted(labelled, np.searchsorted(cuts[1:-1], np.arange(len(labelled)), side="right").astype(np.int64))


def whole_counted(slices: int) -> Counted:
    """Every slice of a query, as one part."""
    return Counted(np.arange(slices, dtype=np.int64), np.zeros(slices, np.int64))


SUPPORT_SLICES = {
    "ep1": ep1_support_slices,
    "ep1-labelled": ep1_support_slices,
    "ep2": ep2_support_slices,
}
"""Protocols that name the support slices; under blind, the program chooses them."""

TOLD = {"ep1": ep1_counted, "ep1-labelled": ep1_labelled_counted}
"""Protocols that read from the query's labels which slices count; the others count every slice."""


def _labelled(organ_zyx: Array) -> npt.NDArray[np.int64]:
    labelled = np.flatnonzero(organ_zyx.any(axis=(1, 2)))
    if len(labelled) == 0:
        raise InputError("the support has no voxel of the organ", "choose another support case")
    return labelled.astype(np.int64)
