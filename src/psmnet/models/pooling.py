"""From masks to prototypes: soft masks on the feature grid, masked averages and average-pooled windows.

Shapes use N images, K targets, P prototypes of a class, C channels, h x w feature positions.
"""

import torch
from einops import einsum
from torch import Tensor
from torch.nn import functional

from psmnet.errors import ConfigError
from psmnet.models.tensors import Prototypes

WINDOW_INSIDE = 0.95  # mean mask above which a window counts as inside it [ALPNet]


def masks_at_features(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize soft masks (N, K, H, W) to the feature grid: (N, K, h, w), 0..1 (bilinear, antialiased)."""
    if masks.shape[-2:] == size:
        return masks
    return functional.interpolate(masks, size=size, mode="bilinear", antialias=True, align_corners=False)


def masks_under_upsampling(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Weights (N, K, h, w) that average features as masks (N, K, H, W) average the features enlarged to H x W.

    PANet and ADNet enlarge features bilinearly to the mask and sum over its pixels. The same sum is one over feature
    positions, weighted by the transpose of the enlargement applied to the mask, which needs no large feature map. The
    weights of an image add up to the mask's area in feature positions.
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

    A position is foreground where the mask is at least 0.5 or, if it is nowhere, where the mask has its maximum; all
    other positions are background. An empty mask has no foreground.
    """
    peak = masks.amax(dim=(-2, -1), keepdim=True)
    return (masks >= peak.clamp(max=0.5)) & (peak > 0)


def class_weights(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Soft masks of background and foreground over their own positions, 0 elsewhere, each (N, K, h, w)."""
    foreground = foreground_members(masks)
    return (1 - masks) * ~foreground, masks * foreground


def masked_average(features: Tensor, weights: Tensor) -> Prototypes:
    """Average features (N, C, h, w) under each of P weight maps (N, K, P, h, w).

    A map without weight gives a zero vector of weight 0: a prototype that does not exist.
    """
    total = weights.sum(dim=(-2, -1))
    share = weights / total.clamp(min=1e-6)[..., None, None]
    vectors = einsum(share.flatten(-2), features.flatten(-2), "n k p s, n c s -> n k p c")
    return Prototypes(vectors, total)


def grid_prototypes(features: Tensor, masks: Tensor, side: int) -> Prototypes:
    """Average-pooled windows inside soft masks (N, K, h, w); the targets share their vectors.

    Args:
        features: (N, C, h, w).
        masks: (N, K, h, w), 0..1.
        side: of the windows, in feature positions.

    Raises:
        ConfigError: a window larger than the feature map.
    """
    inside = windows_inside(masks, side)
    vectors = functional.avg_pool2d(features, side).flatten(2).transpose(1, 2)[:, None]  # N 1 P C
    return Prototypes(vectors, inside * float(side * side))


def windows_inside(masks: Tensor, side: int) -> Tensor:
    """Which windows of a regular grid lie inside soft masks (N, K, h, w): (N, K, P) bool [ALPNet: mean above 0.95].

    Raises:
        ConfigError: a window larger than the feature map.
    """
    if side > min(masks.shape[-2:]):
        raise ConfigError(
            f"a grid of {side} x {side} windows", f"give 0 to {min(masks.shape[-2:])}, the side of the feature map"
        )
    inside: Tensor = functional.avg_pool2d(masks, side).flatten(2) > WINDOW_INSIDE
    return inside
