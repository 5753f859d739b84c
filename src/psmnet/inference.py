"""From arrays to probabilities, slice-wise: what evaluation and segmentation share.

Each support slice and each query slice is encoded once, whatever the number of organs.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from psmnet.data.episodes import resize_images
from psmnet.data.preprocess import Normalisation
from psmnet.models.build import Method
from psmnet.types import Features, Support

Array = npt.NDArray[Any]
BATCH = 16  # slices; larger batches are no faster on a CPU


def slice_tensor(array_zyx: Array, normalisation: Normalisation, size: int) -> Tensor:
    """Normalise a volume (Z, Y, X) and bring its slices to (Z, 1, size, size)."""
    return resize_images(torch.from_numpy(normalisation.apply(array_zyx))[:, None], size)


def mask_tensor(labels_zyx: Array, values: list[int]) -> Tensor:
    """Binary masks (Z, K, Y, X) float of K label values."""
    return torch.from_numpy(np.stack([labels_zyx == value for value in values], axis=1)).float()


@torch.no_grad()
def encode_slices(model: Method, images: Tensor, device: torch.device) -> Features:
    """Encode slices (N, 1, H, W) in batches."""
    parts = [model.encode(images[i : i + BATCH].to(device)) for i in range(0, len(images), BATCH)]
    maps = tuple(torch.cat([p.maps[i] for p in parts]) for i in range(len(parts[0].maps)))
    codes = [p.code for p in parts if p.code is not None]
    return Features(maps, torch.cat(codes) if codes else None)


@torch.no_grad()
def match_slices(
    model: Method, features: Features, support: Support, supports: Tensor, size_yx: tuple[int, int]
) -> Iterator[tuple[slice, Tensor]]:
    """Foreground logits of query slices, in batches.

    Args:
        features: of Q query slices.
        support: of several support slices or joined groups.
        supports: (Q,) long, which of them serves each query.
        size_yx: grid that the logits are brought to before any decision.

    Yields:
        which queries, and (b, K, H, W) logits of foreground against background.
    """
    for start in range(0, len(supports), BATCH):
        chunk = slice(start, start + BATCH)
        prediction = model.match(features[chunk], support.select(supports[chunk]))
        margin = prediction.logits[:, :, 1] - prediction.logits[:, :, 0]
        if margin.shape[-2:] != size_yx:
            margin = functional.interpolate(margin, size=size_yx, mode="bilinear", align_corners=False)
        yield chunk, margin
