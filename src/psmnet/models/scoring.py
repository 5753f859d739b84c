"""Cosine scores of features against prototypes: one implementation for all methods.

Shapes use N images, K targets, P prototypes of a class, C channels, s = h x w feature positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from psmnet.models.cache_blocks import over_cache_blocks
from psmnet.models.pooling import grid_prototypes, masked_average
from psmnet.models.tensors import Prediction, Prototypes, Support

TEMPERATURE = 20.0  # PANet (Wang et al., ICCV 2019), section 3.3; kept by ALPNet and PSMNet
ABSENT_SCORE = -20.0  # score of a class without prototypes: the lowest possible one, never NaN
SURE = 0.9  # probability above which a query's position counts as foreground, and below 1 - SURE as background
SURE_POSITIONS = 5  # such positions that a foreground prototype of the query needs


def unit_features(maps: Tensor) -> Tensor:
    """Feature maps (N, C, h, w), which all targets share, as unit vectors (N, 1, C, h w)."""
    return _units(maps.flatten(2)[:, None])


def similarities(features: Tensor, vectors: Tensor) -> Tensor:
    """20 cos between features (N, K or 1, C, s) and prototypes (N or 1, K, P, C): (N, K, P, s)."""
    return _scaled_units(vectors) @ _units(features)


def _units(features: Tensor) -> Tensor:
    return functional.normalize(features, dim=2, eps=1e-6)


def _scaled_units(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors, dim=-1, eps=1e-6) * TEMPERATURE


@dataclass(frozen=True)
class Sums:
    """Numerator and denominator of a class's score; those of several sets of prototypes add up.

    Attributes:
        numerator, denominator: (N, K, s).
    """

    numerator: Tensor
    denominator: Tensor

    def __add__(self, other: "Sums") -> "Sums":
        """The sums over both sets of prototypes."""
        return Sums(self.numerator + other.numerator, self.denominator + other.denominator)

    def score(self) -> Tensor:
        """(N, K, s); `ABSENT_SCORE` where the class has no prototype."""
        exists = self.denominator > 0
        return torch.where(exists, self.numerator / torch.where(exists, self.denominator, 1.0), ABSENT_SCORE)


def cosine_score(units: Tensor, *sets: Prototypes, weigh_area: bool = False) -> Tensor:
    """Score of one class at each position: a softmax-weighted mean of 20 cos over its prototypes [ALPNet].

    Args:
        units: features of unit length (N, K, C, s), or (N, 1, C, s) where the targets share them (`unit_features`).
        sets: the class's prototypes, see `cosine_sums`.
        weigh_area: increase each prototype's part in the softmax by the logarithm of its area.

    Returns:
        (N, K, s); `ABSENT_SCORE` where the class has no prototype.
    """
    return cosine_sums(units, *sets, weigh_area=weigh_area).score()


def cosine_sums(units: Tensor, *sets: Prototypes, weigh_area: bool = False) -> Sums:
    """Numerator and denominator of `cosine_score`.

    Args:
        units: features of unit length (N, K, C, s), or (N, 1, C, s) where the targets share them.
        sets: the class's prototypes, of N slices or of one that serves all. A set whose vectors the targets share
            (K = 1) is compared with shared features only once; therefore sets are not merged.
        weigh_area: increase each prototype's part in the softmax by the logarithm of its area.
    """
    pairs = [(p.vectors, p.weights if weigh_area else p.valid.to(units.dtype)) for p in sets]
    return Sums(*over_cache_blocks(units, pairs, _scaled_units, _compared))


def _compared(units: Tensor, sets: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Numerator and denominator (N, K, s) from features (N, K or 1, C, s) and sets of prototypes.

    Args:
        units: features of unit length.
        sets: vectors (N or 1, K or 1, P, C) of length 20, and weights (N or 1, K, P).
    """
    numerator = denominator = torch.zeros((), device=units.device)
    for vectors, weights in sets:
        if units.shape[1] == 1:  # one product for all targets
            similarity = (vectors.flatten(1, 2) @ units.squeeze(1)).unflatten(1, vectors.shape[1:3])
        else:
            similarity = vectors @ units
        # A softmax without subtracting its maximum: scores lie in -20..20, so that exp(s - 20) neither overflows nor
        # becomes 0, and a sum over prototypes is a matrix product with their weights.
        power = (similarity - TEMPERATURE).exp()
        numerator = numerator + _weighted_sum(weights, power * similarity)
        denominator = denominator + _weighted_sum(weights, power)
    return numerator, denominator


def _weighted_sum(weights: Tensor, terms: Tensor) -> Tensor:
    """Sum terms (N or 1, K or 1, P, s) under weights (N or 1, K, P): (N, K, s)."""
    if terms.shape[1] == 1:
        return weights @ terms.squeeze(1)
    return (weights[:, :, None] @ terms).squeeze(2)


def image_logits(logits: Tensor, stride: int) -> Tensor:
    """Enlarge class logits on the feature grid (N, K, 2, h, w) to image pixels (N, K, 2, h * stride, w * stride)."""
    size = (logits.shape[-2] * stride, logits.shape[-1] * stride)
    flat = rearrange(logits, "n k c h w -> (n k) c h w")
    flat = functional.interpolate(flat, size=size, mode="bilinear", align_corners=False)
    return rearrange(flat, "(n k) c h w -> n k c h w", n=len(logits))


def match_prototypes(
    features: Tensor,
    support: Support,
    size: tuple[int, int],
    stride: int,
    *,
    weigh_area: bool,
    refine: int = 0,
    needed: Tensor | None = None,
) -> Prediction:
    """Score queries by the prototypes of both classes.

    Args:
        features: (N, K, C, h w), or (N, 1, C, h w) where the targets share them.
        support: of N slices, or of one that serves all.
        size: h, w.
        stride: image pixels per feature position.
        weigh_area: see `cosine_score`.
        refine: side of the windows in which each query's own background is added to the support's, together with its
            foreground (`query_prototypes`); 0 uses the support only.
        needed: (h, w) bool, positions whose scores are needed (default: all); the others get 0. With `refine`, all
            positions are used.
    """
    positions = None if needed is None or refine else needed.flatten()
    units = _units(features if positions is None else features[..., positions])
    sets = (support.background, support.foreground)
    classes = [cosine_sums(units, *of_class, weigh_area=weigh_area) for of_class in sets]
    if refine:
        margin = (classes[1].score() - classes[0].score()).unflatten(-1, size)
        own = query_prototypes(features[:, 0].unflatten(-1, size), margin.sigmoid(), refine)
        classes = [
            sums + cosine_sums(units, prototypes, weigh_area=weigh_area)
            for sums, prototypes in zip(classes, own, strict=True)
        ]
    scores = torch.stack([sums.score() for sums in classes], dim=2)
    if positions is not None:
        everywhere = scores.new_zeros(*scores.shape[:3], len(positions))
        everywhere[..., positions] = scores
        scores = everywhere
    return Prediction(image_logits(scores.unflatten(-1, size), stride), {})


def query_prototypes(features: Tensor, probability: Tensor, side: int) -> tuple[Prototypes, Prototypes]:
    """Background windows and foreground mean of queries, from positions where a first match is sure [ours].

    A query's tissue resembles itself more than the support's. Q-Net also refines its prototype on the query, by
    optimiser steps; here it is one more comparison.

    Args:
        features: (N, C, h, w).
        probability: (N, K, h, w) of foreground.
        side: of the background's windows, in feature positions.

    Returns:
        prototypes of the background, whose vectors the targets share, and of the foreground. Both are missing for a
        target with `SURE_POSITIONS` or fewer sure foreground positions.
    """
    sure = probability * (probability > SURE)
    foreground = masked_average(features, sure[:, :, None])
    exists = (foreground.weights > SURE_POSITIONS).to(sure.dtype)
    background = grid_prototypes(features, (probability < 1 - SURE).to(sure.dtype), side)
    return (
        Prototypes(background.vectors, background.weights * exists),
        Prototypes(foreground.vectors, foreground.weights * exists),
    )
