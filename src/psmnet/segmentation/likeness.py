"""Whether a scan is like those that a network learned from: warnings where it is not."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from psmnet.segmentation.modality import is_ct
from psmnet.volume import Volume

RATIO = 1.5  # to the nearest scan that was learned from, of spacing and size
DISTANCE = 2.0  # to the mean features, in the largest distance of a scan from the others that were learned from
SHRINKAGE = 0.5  # share of the mean variance in each feature's: a few scans do not tell each feature's own
AXES = ("across the slices", "down the slices", "along the slice axis")


@dataclass(frozen=True)
class ScanFacts:
    """What is compared of a scan, in the axes of a network's view.

    Attributes:
        ct: whether it is taken as CT.
        spacing_mm: of voxels, slices last.
        size_mm: of the scan, slices last.
        features: pooled deepest features of the network (D,), averaged over slices.
    """

    ct: bool
    spacing_mm: tuple[float, float, float]
    size_mm: tuple[float, float, float]
    features: tuple[float, ...]

    @staticmethod
    def of(seen: Volume, features: npt.NDArray[np.floating]) -> "ScanFacts":
        """The facts of a scan that was brought to the view's axes, with its features (D,)."""
        x, y, z = (mm * n for mm, n in zip(seen.spacing_mm, seen.size_xyz, strict=True))
        return ScanFacts(is_ct(seen.array_zyx), seen.spacing_mm, (x, y, z), tuple(features.tolist()))


@dataclass(frozen=True)
class Likeness:
    """What the scans that a network learned from have in common.

    Attributes:
        ct: whether they are CT: one or both values.
        spacing_mm, size_mm: smallest and largest along each axis, slices last.
        mean, spread: of the features (D,), the spread shrunk towards that of all features.
        reach: the largest distance of one of these scans from the others.
    """

    ct: frozenset[bool]
    spacing_mm: tuple[tuple[float, float], ...]
    size_mm: tuple[tuple[float, float], ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    reach: float

    @staticmethod
    def of(scans: Sequence[ScanFacts]) -> "Likeness":
        """Of at least one scan. Features are compared from four on: the distances of fewer tell nothing."""
        features = np.array([scan.features for scan in scans], dtype=np.float64)
        mean, spread = _statistics(features)
        reach = 0.0
        if len(scans) >= 4:
            reach = max(
                _distance(one, *_statistics(np.delete(features, number, axis=0))) for number, one in enumerate(features)
            )
        return Likeness(
            frozenset(scan.ct for scan in scans),
            _ranges([scan.spacing_mm for scan in scans]),
            _ranges([scan.size_mm for scan in scans]),
            tuple(mean.tolist()),
            tuple(spread.tolist()),
            reach,
        )

    def distance(self, scan: ScanFacts) -> float:
        """Distance of a scan's features from the mean, in `reach`; 0 if there were too few scans to say."""
        if self.reach == 0:
            return 0.0
        return _distance(np.array(scan.features), np.array(self.mean), np.array(self.spread)) / self.reach

    def warnings(self, scan: ScanFacts) -> list[str]:
        """One line for each respect in which a scan is unlike the others."""
        found = _kind(self.ct, scan.ct)
        found += _outside("voxels {value:.3g} mm apart", self.spacing_mm, scan.spacing_mm)
        found += _outside("{value:.0f} mm long", self.size_mm, scan.size_mm)
        if (distance := self.distance(scan)) > DISTANCE:
            found.append(
                f"warning: its contents differ from those of the scans the network learned from ({distance:.1f} times "
                "as much as these among each other); look closely at the result"
            )
        return found


def _kind(known: Collection[bool], ct: bool) -> list[str]:
    if ct in known:
        return []
    query, learned = ("CT", "no CT") if ct else ("no CT", "CT")
    return [f"warning: the scan is {query}, but the network learned from {learned}; results are probably wrong"]


def _outside(text: str, known: Sequence[tuple[float, float]], values: Sequence[float]) -> list[str]:
    found = []
    for axis, (low, high), value in zip(AXES, known, values, strict=True):
        if not low / RATIO <= value <= high * RATIO:
            usual = f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
            found.append(
                f"warning: the scan is unlike those the network learned from: {axis} {text.format(value=value)}, "
                f"there {usual} mm"
            )
    return found


def _ranges(triples: Sequence[tuple[float, float, float]]) -> tuple[tuple[float, float], ...]:
    return tuple((min(values), max(values)) for values in zip(*triples, strict=True))


def _statistics(features: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and shrunk standard deviation (D,) of features (N, D)."""
    variance = features.var(axis=0)
    shrunk = (1 - SHRINKAGE) * variance + SHRINKAGE * variance.mean()
    return features.mean(axis=0), np.sqrt(shrunk)


def _distance(one: npt.NDArray[np.float64], mean: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(((one - mean) / np.maximum(spread, 1e-6)) ** 2)))
