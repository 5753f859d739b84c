"""A weak code of a feature's position in the body, appended to the feature.

[ours] Organs that look alike (kidney and spleen, vessel and bowel) lie in different places, and patients lie alike in
scanners. The code is added at inference only: in training it replaces part of the appearance features and makes them
worse. It is a sine and a cosine along each axis, so that the similarity of two codes falls with their distance. The
coordinates are relative to the body in that slice, so that scans with different fields of view agree.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

CHANNELS = 4


def with_position(maps: Tensor, images: Tensor, weight: float) -> Tensor:
    """Features at unit length with the code appended.

    Args:
        maps: (B, C, h, w).
        images: (B, 1, H, W), the images they were computed from.
        weight: factor of the code, whose own length is sqrt(2); 0 returns the maps unchanged.

    Returns:
        (B, C + 4, h, w), or the maps.
    """
    if weight == 0:
        return maps
    code = weight * position_code(images, (maps.shape[-2], maps.shape[-1]))
    return torch.cat([functional.normalize(maps, dim=1, eps=1e-6), code.to(maps.dtype)], dim=1)


def position_code(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Sine and cosine of the height, then of the width, in the body of each image: (B, 4, h, w).

    The angle grows from 0 in the body's centre to 90 degrees at its border, and stays there outside.
    """
    body = (images > (images.amin(dim=(-2, -1), keepdim=True) + images.mean(dim=(-2, -1), keepdim=True)) / 2).float()
    height, width = _within_body(body.sum(dim=-1)[:, 0], size[0]), _within_body(body.sum(dim=-2)[:, 0], size[1])
    angles = torch.stack([height[:, :, None].expand(-1, -1, size[1]), width[:, None].expand(-1, size[0], -1)], dim=1)
    angles = angles.clamp(-1, 1) * (math.pi / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1, 2)


def _within_body(profile: Tensor, count: int) -> Tensor:
    """Coordinates of `count` positions along an axis, relative to the body: (B, count), -1..1 inside it.

    The body's half width is twice the standard deviation of its profile (B, n), as for an ellipse. In an image
    without a body everything counts as body.
    """
    profile = torch.where(profile.sum(dim=-1, keepdim=True) > 0, profile, 1.0)
    profile = profile / profile.sum(dim=-1, keepdim=True)
    pixels = (torch.arange(profile.shape[-1], device=profile.device) + 0.5) / profile.shape[-1]
    middle = profile @ pixels
    half = 2 * (profile * (pixels - middle[:, None]) ** 2).sum(dim=-1).sqrt()
    positions = (torch.arange(count, device=profile.device) + 0.5) / count
    return (positions - middle[:, None]) / half.clamp(min=1 / profile.shape[-1])[:, None]
