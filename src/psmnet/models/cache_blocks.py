"""Comparing features with prototypes in pieces that fit a CPU's cache: the same numbers, three times as fast."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

BLOCK = 256  # feature positions compared at a time

PrototypeSet = tuple[Tensor, Tensor]  # vectors (N or 1, K or 1, P, C), weights (N or 1, K, P); weight 0 means none
TensorPair = tuple[Tensor, Tensor]


def over_cache_blocks(
    units: Tensor,
    sets: Sequence[PrototypeSet],
    scale: Callable[[Tensor], Tensor],
    compare: Callable[[Tensor, Sequence[PrototypeSet]], TensorPair],
) -> TensorPair:
    """Compare image by image and block by block, leaving out prototypes that do not exist.

    On other devices everything is compared at once.

    Args:
        units: features (N, K or 1, C, s).
        sets: prototypes of one class.
        scale: applied to the vectors once per image.
        compare: from features and scaled sets to two tensors (N, K, s).
    """
    if units.device.type != "cpu":
        return compare(units, [(scale(vectors), weights) for vectors, weights in sets])
    # Tensors are split and not indexed: the gradient of an index is as large as the whole tensor, and mostly zeros.
    split_sets = [tuple(part.split(1) for part in pair) for pair in sets]
    images = []
    for n, image in enumerate(units.split(1)):
        pairs = [_existing(*(part[min(n, len(part) - 1)] for part in pair)) for pair in split_sets]
        scaled = [(scale(vectors), weights) for vectors, weights in pairs]
        images.append(_concatenated([compare(block, scaled) for block in image.split(BLOCK, dim=-1)], -1))
    return _concatenated(images, 0)


def _existing(vectors: Tensor, weights: Tensor) -> PrototypeSet:
    """Vectors (1, K or 1, P, C) and weights (1, K, P) of the prototypes that exist for at least one target."""
    exists = (weights > 0).any(dim=1)[0]
    if exists.all():
        return vectors, weights
    return vectors[:, :, exists], weights[:, :, exists]


def _concatenated(parts: Sequence[TensorPair], dim: int) -> TensorPair:
    first, second = zip(*parts, strict=True)
    return torch.cat(first, dim), torch.cat(second, dim)
