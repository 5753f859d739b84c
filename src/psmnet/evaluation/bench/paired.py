"""Two methods on the same scans: how far apart they are, and how sure that is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from psmnet.errors import InputError

Floats = npt.NDArray[np.float64]

DRAWS = 10_000
LEVEL = 0.95
FEWEST_SCANS = 5  # below which interval and test mean little: no p is below 0.1
MOST_EXACT = 50  # scans up to which the exact distribution of signed ranks is used
MOST_TIED = 13  # the same where some are tied: 2^13 signs are tried
DECIMALS = 12  # means of the same figures in another order differ by less: that is no difference


@dataclass(frozen=True)
class Paired:
    """Two methods compared scan by scan.

    Attributes:
        n: scans.
        difference: mean of first - second.
        low, high: bootstrap interval of that mean (95 %).
        p: of the two-sided Wilcoxon signed-rank test; 1 where no scan differs.
        exact: whether p is from the exact distribution, not from the normal one.
    """

    n: int
    difference: float
    low: float
    high: float
    p: float
    exact: bool

    @property
    def smallest_p(self) -> float:
        """The p of as many scans that all favour the same method."""
        return min(1.0, 2.0 ** (1 - self.n))


def compare_paired(first: npt.ArrayLike, second: npt.ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Paired:
    """Compare two methods by one figure per scan.

    Args:
        first, second: figures (N,) of the same scans in the same order.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        InputError: they are not as many, or none.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1 or one.size == 0:
        raise InputError(f"figures of shape {one.shape} against {other.shape}", "give one per scan for both methods")
    differences = np.round(one - other, DECIMALS)
    low, high = bootstrap_interval(differences, draws=draws, seed=seed)
    p, exact = signed_rank(differences)
    return Paired(one.size, float(differences.mean()), low, high, p, exact)


def bootstrap_interval(
    values: npt.ArrayLike, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean when scans are drawn with replacement.

    Args:
        values: (N,), one per scan.
        level: share of the draws' means inside it.
        draws: how many.
        seed: the same seed gives the same interval.
    """
    array = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(seed)
    means = array[generator.integers(0, array.size, (draws, array.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def signed_rank(differences: npt.ArrayLike) -> tuple[float, bool]:
    """Two-sided p of the Wilcoxon signed-rank test, and whether it is exact.

    Differences of 0 are left out, as Wilcoxon did; with none left p is 1. It is exact up to 50 scans, or 13 where some
    differences are as large as others; else by the normal distribution.
    """
    from scipy import stats  # 1 s

    array = np.asarray(differences, dtype=np.float64)
    array = array[array != 0]
    if array.size == 0:
        return 1.0, True
    tied = len(np.unique(np.abs(array))) < array.size
    exact = array.size <= (MOST_TIED if tied else MOST_EXACT)
    method = "asymptotic"
    if exact:
        method = stats.PermutationMethod(n_resamples=np.inf) if tied else "exact"
    p = float(stats.wilcoxon(array, method=method).pvalue)
    return min(1.0, p), exact
