"""Whether labels and image of a case can belong together: the position of organs, and the image under them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation

from psmnet.catalog import RELATIONS, Relation
from psmnet.volume import Array, Volume

TOLERANCE_MM = 10.0  # organs vary: only what is clearly on the wrong side counts
AIR_SHARE = 0.05  # of the range of intensities: 36 to 66 in CHAOS, whose published body threshold is 50
SHIFT_MM = 12.0  # enough to leave a border, too little to reach the other side of an organ
MARGIN_MM = 3.0
FEWEST_STEPS = 500  # with fewer, chance decides
LEAST_BESIDE, LEAST_INSIDE = 1.25, 0.62
"""Labels of CHAOS have 1.80 and 0.69 or more on their own image, 1.23 and 0.59 or less on another patient's."""

_AXIS_AND_SIGN = {"right of": (0, -1), "behind": (1, 1), "above": (2, 1)}  # LPS


def misplaced(labels: Volume, values: Mapping[str, int], relations: Sequence[Relation] = RELATIONS) -> list[str]:
    """Relations of the catalog that a label map violates, by its header. Relations of missing organs are skipped.

    Args:
        labels: label map.
        values: organ name to label value.
        relations: positions of organs relative to one another.

    Returns:
        one phrase for each, with the distance of the centroids; nothing below 10 mm.
    """
    wanted = {name for relation in relations for name in (*relation.organs, *relation.others)}
    centroids = {
        name: centroid for name in wanted & set(values) if (centroid := _centroid_mm(labels, values[name])) is not None
    }
    found = []
    for relation in relations:
        if not set(relation.organs) | set(relation.others) <= set(centroids):
            continue
        axis, sign = _AXIS_AND_SIGN[relation.is_]
        gap = sign * float(
            np.mean([centroids[name][axis] for name in relation.organs])
            - np.mean([centroids[name][axis] for name in relation.others])
        )
        if gap < -TOLERANCE_MM:
            organs, others = (" and ".join(names) for names in (relation.organs, relation.others))
            found.append(f"{organs} not {relation.is_} {others} but {-gap:.0f} mm the other way")
    return found


def _centroid_mm(labels: Volume, value: int) -> npt.NDArray[np.float64] | None:
    places = np.argwhere(labels.array_zyx == value)
    if len(places) == 0:
        return None
    centroid: npt.NDArray[np.float64] = (labels.affine @ (*places.mean(axis=0)[::-1], 1))[:3]
    return centroid


def air_level(image_zyx: Array, body_threshold: float | None) -> float:
    """Intensity below which a voxel is air: a twentieth of the range, or the data set's threshold if that is lower.

    Half of Otsu's threshold would not do: with bright fat it is above the liver's intensity.
    """
    low, high = (float(value) for value in np.percentile(image_zyx, (0.5, 99.5)))
    level = low + AIR_SHARE * (high - low)
    return level if body_threshold is None else min(level, body_threshold)


def share_in_air(image_zyx: Array, labels_zyx: Array, level: float) -> float:
    """Share of the labelled voxels at or below an intensity; 0 without any."""
    under = image_zyx[labels_zyx > 0]
    return float((under <= level).mean()) if under.size else 0.0


@dataclass(frozen=True)
class Borders:
    """How strong an image's steps (differences of neighbours in a slice) are at its labels' borders.

    Attributes:
        beside: the mean step there, over that of the same borders shifted by 12 mm in eight directions.
        inside: how often a step there exceeds one inside a label, 0 to 1.
    """

    beside: float
    inside: float

    @property
    def are_elsewhere(self) -> bool:
        """Whether the image is no different at the borders than elsewhere.

        One number is not enough: ribs and lungs beside a liver have stronger steps than its border, and a stomach or
        bone is as uneven inside as at its border.
        """
        return self.beside < LEAST_BESIDE and self.inside < LEAST_INSIDE


def borders(image: Volume, labels_zyx: Array) -> Borders | None:
    """Measure whether labels follow their image.

    Labels of another patient, or mirrored ones, have about 1 and 0.5. Wrong labels that happen to fit, or are off by a
    slice or two, are not found. Borders that no image shows (between two muscles) look wrong.

    Returns:
        both numbers; None with too few borders or steps inside, or a flat image.
    """
    cut = _around(labels_zyx, image.spacing_mm)
    labels = labels_zyx[cut]
    low, high = np.percentile(image.array_zyx, (0.5, 99.5))
    array = np.clip(image.array_zyx[cut].astype(np.float32), low, high)
    steps = np.abs(np.diff(array, axis=1)), np.abs(np.diff(array, axis=2))
    changes = labels[:, 1:] != labels[:, :-1], labels[:, :, 1:] != labels[:, :, :-1]
    at_border = _values(steps, changes)
    deep = _deep(labels, changes, image.spacing_mm)
    inside = np.sort(_values(steps, (deep[:, 1:] & deep[:, :-1], deep[:, :, 1:] & deep[:, :, :-1])))
    if min(len(at_border), len(inside)) < FEWEST_STEPS:
        return None
    places = [np.nonzero(change) for change in changes]

    def mean_beside(down: int, right: int) -> float:
        shifted = [
            step[z, np.clip(y + down, 0, step.shape[1] - 1), np.clip(x + right, 0, step.shape[2] - 1)]
            for step, (z, y, x) in zip(steps, places, strict=True)
        ]
        return float(np.concatenate(shifted).mean())

    around = [(1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (0.7, -0.7), (-0.7, 0.7), (-0.7, -0.7)]
    rows, columns = _shift_px(image.spacing_mm)
    beside = float(np.mean([mean_beside(round(down * rows), round(right * columns)) for down, right in around]))
    if beside == 0:
        return None
    smaller = (np.searchsorted(inside, at_border, "left") + np.searchsorted(inside, at_border, "right")) / 2
    return Borders(float(at_border.mean()) / beside, float(smaller.mean()) / len(inside))


def _shift_px(spacing_mm: tuple[float, float, float]) -> tuple[int, int]:
    """Rows and columns."""
    return max(2, round(SHIFT_MM / spacing_mm[1])), max(2, round(SHIFT_MM / spacing_mm[0]))


def _around(labels_zyx: Array, spacing_mm: tuple[float, float, float]) -> tuple[slice, slice, slice]:
    """The box around the labels, with room to shift them in-plane: a tenth of most scans."""
    margins = (0, *(shift + 1 for shift in _shift_px(spacing_mm)))
    cut = []
    for axis, margin in enumerate(margins):
        (filled,) = np.nonzero(labels_zyx.any(axis=tuple({0, 1, 2} - {axis})))
        cut.append(slice(max(int(filled[0]) - margin, 0), int(filled[-1]) + 1 + margin) if len(filled) else slice(0, 1))
    return cut[0], cut[1], cut[2]


def _deep(labels_zyx: Array, changes: tuple[Array, Array], spacing_mm: tuple[float, float, float]) -> Array:
    """Labelled voxels at least 3 mm from any border, beyond blur and imprecise contours."""
    border = np.zeros(labels_zyx.shape, dtype=bool)
    border[:, 1:] |= changes[0]
    border[:, :-1] |= changes[0]
    border[:, :, 1:] |= changes[1]
    border[:, :, :-1] |= changes[1]
    near = binary_dilation(border, np.ones((1, 3, 3)), iterations=max(1, round(MARGIN_MM / spacing_mm[0])))
    deep: Array = (labels_zyx > 0) & ~near
    return deep


def _values(steps: tuple[Array, Array], where: tuple[Array, Array]) -> Array:
    return np.concatenate([step[chosen] for step, chosen in zip(steps, where, strict=True)])
