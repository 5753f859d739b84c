"""Masked average pooling and cosine scoring: one implementation for all methods.

Shapes use N images, K targets, P prototypes of a class, C channels, s = h x w positions.
"""

import torch
from einops import einsum
from torch import Tensor
from torch.nn import functional

from psmnet.types import Prototypes

TEMPERATURE = 20.0  # PANet (Wang et al., ICCV 2019), section 3.3; kept by ALPNet and PSMNet
ABSENT_SCORE = -20.0  # a class without prototypes: the lowest cosine score, never NaN


def masks_at_features(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize soft masks (N, K, H, W) to the feature grid: (N, K, h, w), 0..1 (bilinear, antialiased)."""
    if masks.shape[-2:] == size:
        return masks
    return functional.interpolate(masks, size=size, mode="bilinear", antialias=True, align_corners=False)


def foreground_members(masks: Tensor) -> Tensor:
    """Which positions are foreground: (N, K, h, w) bool from soft masks (N, K, h, w).

    Foreground is where the mask is at least 0.5 or, if no position is, every position at its maximum; the rest is
    background. An empty mask has no foreground.
    """
    peak = masks.amax(dim=(-2, -1), keepdim=True)
    return (masks >= peak.clamp(max=0.5)) & (peak > 0)


def class_weights(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Background's and foreground's soft mask over their own members, 0 elsewhere, each (N, K, h, w)."""
    foreground = foreground_members(masks)
    return (1 - masks) * ~foreground, masks * foreground


def masked_average(features: Tensor, weights: Tensor) -> Prototypes:
    """Average features (N, C, h, w) under each of P weight maps (N, K, P, h, w).

    A map without weight gives a zero vector of weight 0: a prototype that is not there.
    """
    total = weights.sum(dim=(-2, -1))
    share = weights / total.clamp(min=1e-6)[..., None, None]
    vectors = einsum(share.flatten(-2), features.flatten(-2), "n k p s, n c s -> n k p c")
    return Prototypes(vectors, total)


def grid_prototypes(features: Tensor, masks: Tensor, side: int) -> Prototypes:
    """Average-pooled windows of side x side positions that lie in soft masks (N, K, h, w) [ALPNet: above 0.95]."""
    vectors = functional.avg_pool2d(features, side).flatten(2).transpose(1, 2)[:, None]  # N 1 P C
    inside = functional.avg_pool2d(masks, side).flatten(2) > 0.95
    return Prototypes(vectors.expand(-1, masks.shape[1], -1, -1), inside * float(side * side))


def similarities(features: Tensor, vectors: Tensor) -> Tensor:
    """20 cos between features (N, K or 1, C, s) and prototypes (N or 1, K, P, C): (N, K, P, s)."""
    unit = functional.normalize(vectors, dim=-1, eps=1e-6) * TEMPERATURE
    return unit @ functional.normalize(features, dim=2, eps=1e-6)


def cosine_score(features: Tensor, prototypes: Prototypes, *, weigh_area: bool = False) -> Tensor:
    """Score of one class at each position: a softmax-weighted mean of 20 cos over its prototypes [ALPNet].

    Args:
        features: (N, K, C, s), or (N, 1, C, s) where the targets share them.
        prototypes: of N slices, or of one that serves all.
        weigh_area: raise each prototype's part in the softmax by the log of its area.

    Returns:
        (N, K, s); `ABSENT_SCORE` where the class has no prototype.
    """
    similarity = similarities(features, prototypes.vectors)
    weights = prototypes.weights
    prior = weights.clamp(min=1e-12).log() if weigh_area else torch.zeros_like(weights)
    # Finite where the whole class is absent, so that softmax gives no NaN in its gradient either.
    prior = prior.masked_fill(~prototypes.valid, -1e4)
    mixture = (similarity + prior[..., None]).softmax(dim=-2)
    score = (mixture * similarity).sum(dim=-2)
    return torch.where(prototypes.valid.any(dim=-1)[..., None], score, torch.full_like(score, ABSENT_SCORE))
