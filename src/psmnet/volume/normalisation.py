"""Intensity normalisation, as stored with a network's weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from psmnet.config import NormalisationRule
from psmnet.errors import ConfigError
from psmnet.volume.volume import Array

CLIPPED = (0.5, 99.5)  # percentiles


@dataclass(frozen=True)
class Normalisation:
    """How intensities reach a network; stored in its weights.

    Attributes:
        rule: `zscore`, per volume over all voxels; `clip-zscore`, the same after clipping to the volume's 0.5th and
            99.5th percentile; `ct-fold`, with the mean and standard deviation of the training cases.
        mean, std: of `ct-fold`, None elsewhere.
    """

    rule: NormalisationRule
    mean: float | None = None
    std: float | None = None

    def __post_init__(self) -> None:
        if self.rule not in get_args(NormalisationRule):
            raise ConfigError(f"normalisation {self.rule!r}", f"give one of {', '.join(get_args(NormalisationRule))}")
        if self.rule == "ct-fold" and (self.mean is None or self.std is None):
            raise ConfigError("ct-fold has no mean and std", "compute them with Normalisation.of_cases")

    @staticmethod
    def of_cases(rule: NormalisationRule, arrays: Iterable[Array]) -> "Normalisation":
        """The rule with the statistics of training cases, where it needs them (arrays of any shape)."""
        if rule != "ct-fold":
            return Normalisation(rule)
        count, total, squares = 0, 0.0, 0.0
        for array in arrays:
            count += array.size
            total += float(array.sum(dtype=np.float64))
            squares += float(np.square(array, dtype=np.float64).sum())
        mean = total / count
        return Normalisation(rule, mean, float(np.sqrt(max(squares / count - mean**2, 0.0))))

    def apply(self, array: Array) -> npt.NDArray[np.float32]:
        """Normalise a volume of any shape; a constant one becomes zeros."""
        return self.scale(array).apply(array)

    def scale(self, array: Array, counts: npt.NDArray[np.int64] | None = None) -> "Scale":
        """How a volume's intensities are normalised, of any shape, so that it can be done part by part.

        Args:
            array: all intensities or, with `counts`, the distinct ones, ascending.
            counts: how often each is there.
        """
        if self.rule == "ct-fold":
            assert self.mean is not None
            assert self.std is not None
            return Scale(self.mean, self.std)
        values = array.astype(np.float32)
        clip = None
        if self.rule == "clip-zscore":
            low, high = _percentiles(values, counts, CLIPPED)
            clip = low, high
            values = np.clip(values, low, high)
        if counts is None:
            return Scale(float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)), clip)
        mean = float(np.average(values, weights=counts))
        variance = float(np.average(np.square(values - mean, dtype=np.float64), weights=counts))
        return Scale(mean, float(np.sqrt(variance)), clip)


@dataclass(frozen=True)
class Scale:
    """A volume's normalisation.

    Attributes:
        mean, std: of its intensities, after clipping.
        clip: lowest and highest that are kept; None: all are kept.
    """

    mean: float
    std: float
    clip: tuple[float, float] | None = None

    def apply(self, part: Array) -> npt.NDArray[np.float32]:
        """Normalise a part of the volume."""
        part = part.astype(np.float32)
        if self.clip is not None:
            part = np.clip(part, *self.clip)
        return ((part - self.mean) / max(self.std, 1e-6)).astype(np.float32)


def histogram(array_zyx: Array) -> tuple[Array, npt.NDArray[np.int64]] | None:
    """Distinct intensities of a volume, ascending, and how often each is there; None unless integers of 16 bits.

    A large CT's statistics need no copy of it then, slice by slice.
    """
    if array_zyx.dtype.kind not in "iu" or array_zyx.dtype.itemsize > 2:
        return None
    low, high = int(array_zyx.min()), int(array_zyx.max())
    counts = np.zeros(high - low + 1, dtype=np.int64)
    for part in array_zyx:
        counts += np.bincount(part.ravel().astype(np.int32) - low, minlength=len(counts))
    there = np.flatnonzero(counts)
    return there + low, counts[there]


def _percentiles(
    values: npt.NDArray[np.float32], counts: npt.NDArray[np.int64] | None, percents: tuple[float, float]
) -> tuple[float, float]:
    """By linear interpolation between ranks, as numpy's."""
    if counts is None:
        low, high = np.percentile(values, percents)
        return float(low), float(high)
    ends = np.cumsum(counts)  # ranks below which a value's lie
    found = []
    for percent in percents:
        rank = percent / 100 * (int(ends[-1]) - 1)
        below, above = (float(values[np.searchsorted(ends, whole, side="right")]) for whole in _around(rank))
        found.append(below + (above - below) * (rank - int(rank)))
    return found[0], found[1]


def _around(rank: float) -> tuple[int, int]:
    return int(np.floor(rank)), int(np.ceil(rank))
