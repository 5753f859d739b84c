"""Masked average pooling and cosine scoring: one implementation for all methods.

Shapes use N images, K targets, P prototypes of a class, C channels, s = h x w positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from torch import Tensor
from torch.nn import functional

from psmnet.errors import ConfigError
from psmnet.models.tensors import Prediction, Prototypes, Support

TEMPERATURE = 20.0  # PANet (Wang et al., ICCV 2019), section 3.3; kept by ALPNet and PSMNet
ABSENT_SCORE = -20.0  # a class without prototypes: the lowest cosine score, never NaN
WINDOW_INSIDE = 0.95  # mean mask above which a window lies in it [ALPNet]
SURE = 0.9  # probability above which a query's position is taken for foreground, and below 1 - SURE for background
SURE_POSITIONS = 5  # of foreground that make a prototype
BLOCK = 256  # positions compared at a time on a CPU


def masks_at_features(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize soft masks (N, K, H, W) to the feature grid: (N, K, h, w), 0..1 (bilinear, antialiased)."""
    if masks.shape[-2:] == size:
        return masks
    return functional.interpolate(masks, size=size, mode="bilinear", antialias=True, align_corners=False)


def masks_under_upsampling(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Weights (N, K, h, w) that average features as masks (N, K, H, W) average the features brought to H x W.

    Methods that enlarge features bilinearly to the mask (PANet, ADNet) sum over pixels U f; the same sum is one over
    feature positions, weighed by the transpose of U applied to the mask: no large map is built. A position's weights
    add up to its share of the image, in feature positions.
    """
    if masks.shape[-2:] == size:
        return masks
    rows, columns = (_upsampling(size[axis], masks.shape[axis - 2], masks) for axis in (0, 1))
    weights = rows @ masks @ columns.T
    return weights * (size[0] * size[1] / (masks.shape[-2] * masks.shape[-1]))


def _upsampling(features: int, pixels: int, like: Tensor) -> Tensor:
    """Bilinear enlargement along one axis as a matrix (features, pixels)."""
    identity = torch.eye(features, dtype=like.dtype, device=like.device)[:, None]
    return functional.interpolate(identity, size=pixels, mode="linear", align_corners=False)[:, 0]


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
    """Average-pooled windows that lie in soft masks (N, K, h, w); the targets share vectors.

    Raises:
        ConfigError: a window larger than the feature map.
    """
    inside = windows_inside(masks, side)
    vectors = functional.avg_pool2d(features, side).flatten(2).transpose(1, 2)[:, None]  # N 1 P C
    return Prototypes(vectors, inside * float(side * side))


def windows_inside(masks: Tensor, side: int) -> Tensor:
    """Which windows of a regular grid lie in soft masks (N, K, h, w): (N, K, P) bool [ALPNet: mean above 0.95].

    Raises:
        ConfigError: a window larger than the feature map.
    """
    if side > min(masks.shape[-2:]):
        raise ConfigError(
            f"a grid of {side} x {side} windows", f"give 0 to {min(masks.shape[-2:])}, the side of the feature map"
        )
    inside: Tensor = functional.avg_pool2d(masks, side).flatten(2) > WINDOW_INSIDE
    return inside


def unit_features(maps: Tensor) -> Tensor:
    """Feature maps (N, C, h, w), that all targets share, as unit vectors (N, 1, C, h w)."""
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
    """Numerator and denominator of a class' score; those of several sets of prototypes add up.

    Attributes:
        numerator, denominator: (N, K, s).
    """

    numerator: Tensor
    denominator: Tensor

    def __add__(self, other: "Sums") -> "Sums":
        """Of both sets of prototypes."""
        return Sums(self.numerator + other.numerator, self.denominator + other.denominator)

    def score(self) -> Tensor:
        """(N, K, s); `ABSENT_SCORE` where the class has no prototype."""
        there = self.denominator > 0
        return torch.where(there, self.numerator / torch.where(there, self.denominator, 1.0), ABSENT_SCORE)


def cosine_score(units: Tensor, *sets: Prototypes, weigh_area: bool = False) -> Tensor:
    """Score of one class at each position: a softmax-weighted mean of 20 cos over its prototypes [ALPNet].

    Args:
        units: features of unit length (N, K, C, s), or (N, 1, C, s) where the targets share them (`unit_features`).
        sets: the class' prototypes, see `cosine_sums`.
        weigh_area: raise each prototype's part in the softmax by the log of its area.

    Returns:
        (N, K, s); `ABSENT_SCORE` where the class has no prototype.
    """
    return cosine_sums(units, *sets, weigh_area=weigh_area).score()


def cosine_sums(units: Tensor, *sets: Prototypes, weigh_area: bool = False) -> Sums:
    """What `cosine_score` divides.

    Args:
        units: features of unit length (N, K, C, s), or (N, 1, C, s) where the targets share them.
        sets: the class' prototypes, of N slices or of one that serves all. A set whose vectors the targets share
            (K = 1) is compared with shared features only once, which is why sets are not merged.
        weigh_area: raise each prototype's part in the softmax by the log of its area.
    """
    compared = []
    for prototypes in sets:
        weights = prototypes.weights if weigh_area else prototypes.valid.to(units.dtype)
        compared.append((prototypes.vectors, weights))
    if units.device.type != "cpu":
        return _sums(units, [(_scaled_units(vectors), weights) for vectors, weights in compared])
    # What is compared with one another is large, and a CPU three times as fast where it fits into its cache: image by
    # image, a block of positions at a time, without prototypes that are not there. Split, not indexed: the gradient of
    # an index is as large as the whole, and mostly zeros.
    apart = [tuple(part.split(1) for part in pair) for pair in compared]
    images = []
    for n, image in enumerate(units.split(1)):
        own = [_present(*(part[min(n, len(part) - 1)] for part in pair)) for pair in apart]
        images.append(_joined([_sums(block, own) for block in image.split(BLOCK, dim=-1)], -1))
    return _joined(images, 0)


def _present(vectors: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled unit vectors (1, K or 1, P, C) and weights (1, K, P) of the prototypes that some target has."""
    there = (weights > 0).any(dim=1)[0]
    if there.all():
        return _scaled_units(vectors), weights
    return _scaled_units(vectors[:, :, there]), weights[:, :, there]


def _sums(units: Tensor, compared: Sequence[tuple[Tensor, Tensor]]) -> Sums:
    """Of features (N, K or 1, C, s) and sets of scaled unit vectors (N or 1, K or 1, P, C), weights (N or 1, K, P)."""
    zero = torch.zeros((), device=units.device)
    total = Sums(zero, zero)
    for vectors, weights in compared:
        if units.shape[1] == 1:  # one product for all targets
            similarity = (vectors.flatten(1, 2) @ units.squeeze(1)).unflatten(1, vectors.shape[1:3])
        else:
            similarity = vectors @ units
        # A softmax without its maximum: scores lie in -20..20, so exp(s - 20) neither overflows nor vanishes, and
        # a sum over prototypes is a product with their weights.
        power = (similarity - TEMPERATURE).exp()
        total = total + Sums(_weighted_sum(weights, power * similarity), _weighted_sum(weights, power))
    return total


def _joined(parts: Sequence[Sums], dim: int) -> Sums:
    return Sums(torch.cat([p.numerator for p in parts], dim), torch.cat([p.denominator for p in parts], dim))


def image_logits(logits: Tensor, stride: int) -> Tensor:
    """Class logits on the feature grid (N, K, 2, h, w) to the image's pixels (N, K, 2, h * stride, w * stride)."""
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
    asked: Tensor | None = None,
) -> Prediction:
    """Score queries by both classes' prototypes.

    Args:
        features: (N, K, C, h w), or (N, 1, C, h w) where the targets share them.
        support: of N slices, or of one that serves all.
        size: h, w.
        stride: image pixels per feature position.
        weigh_area: see `cosine_score`.
        refine: side of the windows in which each query's own background joins the support's, and its foreground with
            them (`query_prototypes`); 0 for the support alone.
        asked: (h, w) bool, where scores are asked for (all by default); elsewhere they are 0. A query is refined by
            all of itself.
    """
    places = None if asked is None or refine else asked.flatten()
    units = _units(features if places is None else features[..., places])
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
    if places is not None:
        everywhere = scores.new_zeros(*scores.shape[:3], len(places))
        everywhere[..., places] = scores
        scores = everywhere
    return Prediction(image_logits(scores.unflatten(-1, size), stride), {})


def query_prototypes(features: Tensor, probability: Tensor, side: int) -> tuple[Prototypes, Prototypes]:
    """Background's windows and foreground's mean of queries, where a first match is sure of them [ours].

    A query's own tissue looks more like itself than the support's does. Q-Net refines its prototype on the query, too,
    by steps of an optimiser; here it is one more look.

    Args:
        features: (N, C, h, w).
        probability: (N, K, h, w) of foreground.
        side: of the background's windows in feature positions.

    Returns:
        prototypes of the background, whose vectors the targets share, and of the foreground; none for a target whose
        sure foreground is smaller than `SURE_POSITIONS`.
    """
    sure = probability * (probability > SURE)
    foreground = masked_average(features, sure[:, :, None])
    found = (foreground.weights > SURE_POSITIONS).to(sure.dtype)
    background = grid_prototypes(features, (probability < 1 - SURE).to(sure.dtype), side)
    return (
        Prototypes(background.vectors, background.weights * found),
        Prototypes(foreground.vectors, foreground.weights * found),
    )


def _weighted_sum(weights: Tensor, terms: Tensor) -> Tensor:
    """Sum terms (N or 1, K or 1, P, s) under weights (N or 1, K, P): (N, K, s)."""
    if terms.shape[1] == 1:
        return weights @ terms.squeeze(1)
    return (weights[:, :, None] @ terms).squeeze(2)
