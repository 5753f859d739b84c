"""Whether a scan is like those that a network learned from: warnings where it is not."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from psmnet.segmentation.modality import is_ct
from psmnet.volume import Volume

RATIO = 1.5  # of a measure to the nearest of the scans learned from; training scales slices by up to 1.2
DISTANCE = 1.5  # of features, in `reach`; new scans of one kind exceed it in 3 % at most, see docs/decisions.md
SHRINKAGE = 0.1  # share of the mean variance in each feature's own, which a few scans do not tell
FEWEST = 4  # scans needed to compare features: the distances of fewer tell nothing
TEXTS = {
    "pixel_mm": "pixels are {} mm wide",
    "slice_mm": "slices are {} mm apart",
    "width_mm": "slices are {} mm wide",
    "height_mm": "slices are {} mm high",
    "length_mm": "the scan is {} mm long",
}
LOOK = "look closely at the result"


@dataclass(frozen=True)
class Measures:
    """Sizes of a scan in the axes of a network's view.

    Attributes:
        pixel_mm: geometric mean of a pixel's sides.
        slice_mm: distance of slices.
        width_mm, height_mm: of slices.
        length_mm: across slices.
    """

    pixel_mm: float
    slice_mm: float
    width_mm: float
    height_mm: float
    length_mm: float


@dataclass(frozen=True)
class ScanFacts:
    """What is compared of a scan.

    Attributes:
        ct: whether it is taken as CT.
        measures: its sizes.
        features: pooled deepest features of the network (D,), averaged over slices.
    """

    ct: bool
    measures: Measures
    features: tuple[float, ...]

    @staticmethod
    def of(seen: Volume, features: npt.NDArray[np.floating]) -> "ScanFacts":
        """The facts of a scan that was brought to the view's axes, with its features (D,)."""
        x_mm, y_mm, z_mm = seen.spacing_mm
        columns, rows, slices = seen.size_xyz
        measures = Measures(float(np.sqrt(x_mm * y_mm)), z_mm, columns * x_mm, rows * y_mm, slices * z_mm)
        return ScanFacts(is_ct(seen.array_zyx), measures, tuple(features.tolist()))


@dataclass(frozen=True)
class Likeness:
    """What the scans that a network learned from have in common.

    Attributes:
        ct: whether they are CT: one or both values.
        ranges: smallest and largest of each of `Measures`.
        mean, spread: of the features (D,); the spread is shrunk towards that of all features.
        reach: the largest distance of one of these scans from the others; 0 if there are too few to compare.
    """

    ct: frozenset[bool]
    ranges: Mapping[str, tuple[float, float]]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    reach: float

    @staticmethod
    def of(scans: Sequence[ScanFacts]) -> "Likeness":
        """Of at least one scan."""
        features = np.array([scan.features for scan in scans], dtype=np.float64)
        mean, spread = _statistics(features)
        reach = 0.0
        if len(scans) >= FEWEST:  # each against the others: its own mean is always near
            reach = max(
                _distance(one, *_statistics(np.delete(features, number, axis=0))) for number, one in enumerate(features)
            )
        measures = [asdict(scan.measures) for scan in scans]
        return Likeness(
            frozenset(scan.ct for scan in scans),
            {name: (min(one[name] for one in measures), max(one[name] for one in measures)) for name in TEXTS},
            tuple(mean.tolist()),
            tuple(spread.tolist()),
            reach,
        )

    def distance(self, scan: ScanFacts) -> float:
        """Distance of a scan's features from the mean, in `reach`; 0 if there were too few scans to compare."""
        if self.reach == 0:
            return 0.0
        return _distance(np.array(scan.features), np.array(self.mean), np.array(self.spread)) / self.reach

    def warnings(self, scan: ScanFacts) -> list[str]:
        """One line for each respect in which a scan is unlike the others."""
        found = []
        if scan.ct not in self.ct:
            own, theirs = ("CT", "other scans") if scan.ct else ("not CT", "CT")
            found.append(
                f"warning: the scan is {own}, but the network learned from {theirs}; results are probably wrong"
            )
        for name, value in asdict(scan.measures).items():
            low, high = self.ranges[name]
            if not low / RATIO <= value <= high * RATIO:
                text = TEXTS[name].format(_mm(value))
                found.append(f"warning: {text}, in the scans that the network learned from {_range(low, high)}; {LOOK}")
        if (distance := self.distance(scan)) > DISTANCE:
            found.append(
                "warning: the scan looks unlike those that the network learned from (the network's features lie "
                f"{distance:.1f} times as far from their mean as any of these; usual is up to {DISTANCE:g}); {LOOK}"
            )
        return found


def _range(low: float, high: float) -> str:
    return f"{' to '.join(dict.fromkeys((_mm(low), _mm(high))))} mm"


def _mm(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _statistics(features: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and shrunk standard deviation (D,) of features (N, D)."""
    variance = features.var(axis=0)
    shrunk = (1 - SHRINKAGE) * variance + SHRINKAGE * variance.mean()
    return features.mean(axis=0), np.sqrt(shrunk)


def _distance(one: npt.NDArray[np.float64], mean: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(((one - mean) / np.maximum(spread, 1e-6)) ** 2)))
