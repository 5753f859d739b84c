"""Steps of slice-wise inference that evaluation and segmentation share.

Each support slice and each query slice is encoded once, whatever the number of organs.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from psmnet.models import Features, Method, Support, resize_images
from psmnet.volume import Array, Normalisation

BATCH = 16  # slices per batch; larger batches are no faster on a CPU


def slice_tensor(array_zyx: Array, normalisation: Normalisation, size: int, numbers: npt.NDArray[np.int64]) -> Tensor:
    """Normalise a volume (Z, Y, X) and resize its slices `numbers` (N,) to (N, 1, size, size)."""
    return resize_images(torch.from_numpy(normalisation.apply(array_zyx)[numbers])[:, None], size)


def mask_tensor(labels_zyx: Array, values: list[int]) -> Tensor:
    """Binary masks (Z, K, Y, X) float of K label values."""
    return torch.from_numpy(np.stack([labels_zyx == value for value in values], axis=1)).float()


@torch.no_grad()
def encode_slices(model: Method, images: Tensor, device: torch.device) -> Features:
    """Encode slices (N, 1, H, W) in batches."""
    return concatenated([model.encode(images[i : i + BATCH].to(device)) for i in range(0, len(images), BATCH)])


def concatenated(parts: Sequence[Features]) -> Features:
    """Concatenate the features of several batches of images."""
    maps = tuple(torch.cat([p.maps[i] for p in parts]) for i in range(len(parts[0].maps)))
    codes = [p.code for p in parts if p.code is not None]
    return Features(maps, torch.cat(codes) if codes else None)


@torch.no_grad()
def match_slices(
    model: Method, features: Features, support: Support, serving: Tensor
) -> Iterator[tuple[slice, Tensor]]:
    """Match query slices with their supports, in batches.

    Args:
        features: of Q query slices.
        support: of several support slices or groups of them.
        serving: (Q,) long, index of the support slice or group that serves each query.

    Yields:
        a slice of the queries, and their logits of foreground against background (b, K, H, W) at the network's pixels.
    """
    for start in range(0, len(serving), BATCH):
        chunk = slice(start, start + BATCH)
        logits = model.match(features[chunk], support.select(serving[chunk])).logits
        yield chunk, logits[:, :, 1] - logits[:, :, 0]


def smoothed_across(margins: Tensor, numbers: npt.NDArray[np.int64], step_mm: float, sigma_mm: float) -> Tensor:
    """Smooth logits across slices: organs continue from slice to slice, noise does not.

    Args:
        margins: (Q, ...) logits of foreground against background.
        numbers: (Q,), their slices; there may be gaps.
        step_mm: distance of neighbouring slices.
        sigma_mm: standard deviation of the Gaussian; 0 returns the logits unchanged.
    """
    if sigma_mm == 0 or len(margins) < 2:
        return margins
    positions_mm = torch.from_numpy(numbers).to(margins) * step_mm
    weights = torch.exp(-0.5 * ((positions_mm[:, None] - positions_mm) / sigma_mm) ** 2)
    smooth: Tensor = torch.tensordot(weights / weights.sum(dim=1, keepdim=True), margins, dims=1)
    return smooth
