"""Intensities as the weights ask for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from psmnet.config import NormalisationRule
from psmnet.errors import ConfigError
from psmnet.volume import Array


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
        array = array.astype(np.float32)
        if self.rule == "ct-fold":
            mean, std = self.mean, self.std
            assert mean is not None
            assert std is not None
        else:
            if self.rule == "clip-zscore":
                low, high = np.percentile(array, (0.5, 99.5))
                array = np.clip(array, low, high)
            mean, std = float(array.mean(dtype=np.float64)), float(array.std(dtype=np.float64))
        return ((array - mean) / max(std, 1e-6)).astype(np.float32)
