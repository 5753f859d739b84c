"""Our metrics against MONAI's, on random blobs and drawn shapes with anisotropic spacing."""

import warnings

import numpy as np
import pytest
import torch
from scipy import ndimage

from psmnet.evaluation.metrics import NSD_TOLERANCE_MM, score

SHAPE = (9, 24, 20)
SPACINGS = [(1.0, 1.0, 1.0), (1.5, 1.5, 7.7), (0.8, 1.3, 3.0)]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MONAI's own imports warn
    from monai import metrics as monai


def blobs(seed: int) -> np.ndarray:
    """Smooth random shapes, several pieces with holes, some cut by the array's border."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), (1.0, 2.5, 2.5))
    return noise > np.quantile(noise, 0.85)


def ball(radius_px: float, centre: tuple[float, float, float]) -> np.ndarray:
    z, y, x = np.indices(SHAPE)
    return ((z - centre[0]) * 3) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius_px**2


def drawn() -> list[tuple[str, np.ndarray, np.ndarray]]:
    box = np.zeros(SHAPE, dtype=bool)
    box[2:7, 4:16, 5:14] = True
    hollow = box.copy()
    hollow[3:6, 6:14, 7:12] = False
    voxel = np.zeros(SHAPE, dtype=bool)
    voxel[4, 10, 10] = True
    plate = np.zeros(SHAPE, dtype=bool)
    plate[0] = True
    return [
        ("the same", box, box),
        ("hollow", hollow, box),
        ("one voxel", voxel, box),
        ("a whole slice at the border", plate, box),
        ("balls", ball(7, (4, 12, 10)), ball(6, (4, 9, 12))),
        ("far apart", ball(3, (1, 4, 4)), ball(3, (7, 20, 15))),
    ]


def as_batch(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(mask)[None, None].float()


PAIRS = [(f"random {seed}", blobs(seed), blobs(seed + 100)) for seed in range(8)] + drawn()


@pytest.mark.parametrize("spacing_mm", SPACINGS)
@pytest.mark.parametrize(("name", "prediction", "reference"), PAIRS, ids=[name for name, _, _ in PAIRS])
def test_both_agree(name, prediction, reference, spacing_mm):
    ours = score(prediction, reference, spacing_mm)
    pair = (as_batch(prediction), as_batch(reference))
    options = {"include_background": True, "spacing": spacing_mm[::-1]}  # theirs go with the array's axes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        confusion = monai.get_confusion_matrix(*pair, include_background=True)
        theirs = {
            "dice": monai.compute_dice(*pair, include_background=True),
            "iou": monai.compute_iou(*pair, include_background=True),
            "precision": monai.compute_confusion_matrix_metric("precision", confusion),
            "recall": monai.compute_confusion_matrix_metric("recall", confusion),
            "hd95_mm": monai.compute_hausdorff_distance(*pair, percentile=95, **options),
            "assd_mm": monai.compute_average_surface_distance(*pair, symmetric=True, **options),
            "nsd_2mm": monai.compute_surface_dice(*pair, class_thresholds=[NSD_TOLERANCE_MM], **options),
        }
    for metric, value in theirs.items():
        assert getattr(ours, metric) == pytest.approx(float(value), rel=1e-4, abs=1e-4), metric
