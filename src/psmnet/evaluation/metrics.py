"""Metrics of one organ in one scan: the table that everything which shows scores reads, and a function for each.

To add a metric, see docs/add-a-metric.md. There is no NaN: an undefined value is None.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from psmnet.errors import InputError
from psmnet.volume import Array

NSD_TOLERANCE_MM = 2.0


@dataclass(frozen=True)
class MaskPair:
    """A predicted mask and its reference, neither of them empty, with what several metrics need.

    Attributes:
        prediction, reference: bool (Z, Y, X).
        spacing_mm: (x, y, z).
    """

    prediction: npt.NDArray[np.bool_]
    reference: npt.NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]

    @cached_property
    def predicted(self) -> int:
        """Number of predicted voxels."""
        return int(self.prediction.sum())

    @cached_property
    def expected(self) -> int:
        """Number of reference voxels."""
        return int(self.reference.sum())

    @cached_property
    def common(self) -> int:
        """Number of voxels in both masks."""
        return int((self.prediction & self.reference).sum())

    @cached_property
    def distances_mm(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Distances of the prediction's border voxels to the reference's border, and the other way round."""
        return surface_distances_mm(self.prediction, self.reference, self.spacing_mm)


@dataclass(frozen=True)
class Metric:
    """One entry of the metric table.

    Attributes:
        title: its name for people; its key in `METRICS` is its name in files, in the API and as an attribute of Scores.
        function: from two masks that both have a voxel to the value.
        meaning: one sentence for people who don't know it.
        unit: of the value, empty for a share.
        higher_is_better: which way is better.
        digits: decimals shown.
        limits: lowest and highest possible value.
        empty_prediction: the value where nothing was predicted; None where it is undefined.
        in_terminal: whether it has a column in the terminal's table, whose 80 columns are full.
        in_report: whether it has a table in benchmark reports.
    """

    title: str
    function: Callable[[MaskPair], float]
    meaning: str
    unit: str = ""
    higher_is_better: bool = True
    digits: int = 3
    limits: tuple[float, float] = (0.0, math.inf)
    empty_prediction: float | None = None
    in_terminal: bool = False
    in_report: bool = True

    @property
    def heading(self) -> str:
        """Title with unit, for the head of a column."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def text(self, value: float | None) -> str:
        """The value with its decimals; a dash for None."""
        return "-" if value is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Scores:
    """Metrics of one organ in one query scan; each is an attribute too, such as `scores.dice` or `scores.hd95_mm`.

    Attributes:
        values: metric name (a key of `METRICS`) to value; None where it is undefined: all metrics where the reference
            is empty; precision and surface distances where the prediction is empty.
        false_positive_ml: predicted volume where the reference is empty, else None.
        empty_prediction: whether nothing was predicted where something is.
    """

    values: Mapping[str, float | None]
    false_positive_ml: float | None = None
    empty_prediction: bool = False

    def __getattr__(self, name: str) -> float | None:
        values: Mapping[str, float | None] = self.__dict__.get("values", {})  # not there yet while unpickling
        if name not in values:
            raise AttributeError(f"Scores has no metric {name!r}")
        return values[name]

    def __dir__(self) -> Iterator[str]:
        return iter((*super().__dir__(), *self.values))

    def as_record(self) -> dict[str, Any]:
        """As in a results file."""
        return {
            **self.values,
            "false_positive_ml": self.false_positive_ml,
            "empty_prediction": self.empty_prediction,
        }


def score(prediction: Array, reference: Array, spacing_mm: tuple[float, float, float]) -> Scores:
    """Compare two binary masks (Z, Y, X) by every metric in `METRICS`.

    Args:
        prediction, reference: bool or 0/1.
        spacing_mm: (x, y, z).

    Raises:
        InputError: the shapes differ.
    """
    if prediction.shape != reference.shape:
        raise InputError(f"prediction {prediction.shape} against reference {reference.shape}", "use one grid")
    pair = MaskPair(prediction.astype(bool), reference.astype(bool), spacing_mm)
    if pair.expected == 0:
        false_positive_ml = pair.predicted * float(np.prod(spacing_mm)) / 1000
        return Scores(dict.fromkeys(METRICS), false_positive_ml)
    if pair.predicted == 0:
        return Scores({name: metric.empty_prediction for name, metric in METRICS.items()}, empty_prediction=True)
    return Scores({name: metric.function(pair) for name, metric in METRICS.items()})


def surface_distances_mm(
    first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distances from each border voxel of one mask to the nearest of the other, both ways.

    A border voxel is one with a face neighbour outside the mask; beyond the array is outside. Both masks must have a
    voxel.
    """
    box = ndimage.find_objects((first | second).astype(np.uint8))[0]  # distances need no more than this
    borders = []
    for mask in (first[box], second[box]):
        padded = np.pad(mask, 1)
        borders.append(mask & ~ndimage.binary_erosion(padded)[1:-1, 1:-1, 1:-1])
    sampling = spacing_mm[::-1]
    fields = [ndimage.distance_transform_edt(~border, sampling=sampling) for border in borders]
    return fields[1][borders[0]], fields[0][borders[1]]


def dice(pair: MaskPair) -> float:
    """Twice the common voxels over the sum of both masks' voxels."""
    return 2 * pair.common / (pair.predicted + pair.expected)


def iou(pair: MaskPair) -> float:
    """Common voxels over the voxels in either mask."""
    return pair.common / (pair.predicted + pair.expected - pair.common)


def precision(pair: MaskPair) -> float:
    """Share of the prediction that is right."""
    return pair.common / pair.predicted


def recall(pair: MaskPair) -> float:
    """Share of the reference that was found."""
    return pair.common / pair.expected


def hd95_mm(pair: MaskPair) -> float:
    """The larger of both directions' 95th percentiles of surface distance."""
    return float(max(np.percentile(distances, 95) for distances in pair.distances_mm))


def assd_mm(pair: MaskPair) -> float:
    """Mean of the surface distances of both directions together."""
    return float(np.concatenate(pair.distances_mm).mean())


def nsd_2mm(pair: MaskPair) -> float:
    """Share of both surfaces within 2 mm of the other."""
    near = sum((distances <= NSD_TOLERANCE_MM).sum() for distances in pair.distances_mm)
    return float(near / sum(distances.size for distances in pair.distances_mm))


_SHARE = (0.0, 1.0)

METRICS = {
    "dice": Metric(
        "Dice",
        dice,
        "Overlap with the reference: 1 is all, 0 none.",
        limits=_SHARE,
        empty_prediction=0.0,
        in_terminal=True,
    ),
    "iou": Metric(
        "IoU",
        iou,
        "Overlap with the reference, counted more strictly than by Dice: 1 is all, 0 none.",
        limits=_SHARE,
        empty_prediction=0.0,
        in_report=False,
    ),
    "precision": Metric(
        "Precision",
        precision,
        "Share of the mask that lies in the reference.",
        limits=_SHARE,
        in_terminal=True,
        in_report=False,
    ),
    "recall": Metric(
        "Recall",
        recall,
        "Share of the reference that lies in the mask.",
        limits=_SHARE,
        empty_prediction=0.0,
        in_terminal=True,
        in_report=False,
    ),
    "hd95_mm": Metric(
        "HD95",
        hd95_mm,
        "Distance between both surfaces that 5 % of them exceed.",
        unit="mm",
        higher_is_better=False,
        digits=1,
        in_terminal=True,
    ),
    "assd_mm": Metric(
        "ASSD",
        assd_mm,
        "Average distance between both surfaces.",
        unit="mm",
        higher_is_better=False,
        digits=1,
    ),
    "nsd_2mm": Metric(
        "NSD (2 mm)",
        nsd_2mm,
        "Share of both surfaces that lies within 2 mm of the other one.",
        limits=_SHARE,
        empty_prediction=0.0,
        in_terminal=True,
    ),
}
"""Metric name to entry, in the order in which they are shown; Dice is the first and always there."""
