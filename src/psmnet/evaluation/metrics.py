"""Overlap and surface metrics of one organ in one scan. No NaN: what is undefined is None."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from psmnet.errors import InputError
from psmnet.volume import Array

NSD_TOLERANCE_MM = 2.0


@dataclass(frozen=True)
class Scores:
    """Metrics of one organ in one query scan (see protocols.md for empty masks).

    Attributes:
        dice, iou, precision, recall: on voxels, 0..1; None where undefined.
        hd95_mm, assd_mm: surface distances; None where a mask is empty.
        nsd_2mm: share of both surfaces within 2 mm of the other; 0 where the prediction is empty.
        false_positive_ml: predicted volume where the reference is empty, else None.
        empty_prediction: whether nothing was predicted where something is.
    """

    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None
    hd95_mm: float | None
    assd_mm: float | None
    nsd_2mm: float | None
    false_positive_ml: float | None = None
    empty_prediction: bool = False


def score(prediction: Array, reference: Array, spacing_mm: tuple[float, float, float]) -> Scores:
    """Compare two binary masks (Z, Y, X).

    Args:
        prediction, reference: bool or 0/1.
        spacing_mm: (x, y, z).

    Raises:
        InputError: the shapes differ.
    """
    if prediction.shape != reference.shape:
        raise InputError(f"prediction {prediction.shape} against reference {reference.shape}", "use one grid")
    prediction, reference = prediction.astype(bool), reference.astype(bool)
    predicted, expected = int(prediction.sum()), int(reference.sum())
    if expected == 0:
        false_positive_ml = predicted * float(np.prod(spacing_mm)) / 1000
        return Scores(None, None, None, None, None, None, None, false_positive_ml)
    if predicted == 0:
        return Scores(0.0, 0.0, None, 0.0, None, None, 0.0, empty_prediction=True)
    both = int((prediction & reference).sum())
    to_reference, to_prediction = surface_distances_mm(prediction, reference, spacing_mm)
    near = (to_reference <= NSD_TOLERANCE_MM).sum() + (to_prediction <= NSD_TOLERANCE_MM).sum()
    return Scores(
        dice=2 * both / (predicted + expected),
        iou=both / (predicted + expected - both),
        precision=both / predicted,
        recall=both / expected,
        hd95_mm=float(max(np.percentile(to_reference, 95), np.percentile(to_prediction, 95))),
        assd_mm=float(np.concatenate([to_reference, to_prediction]).mean()),
        nsd_2mm=float(near / (to_reference.size + to_prediction.size)),
    )


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
