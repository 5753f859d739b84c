"""A weak code of where in the body a feature lies, beside what it looks like.

[ours] Organs that look alike (kidney and spleen, vessel and bowel) lie apart, and people lie alike in scanners. The
code is added in use, after training: trained in, it stands in for looks and makes them worse. It is a sine and a
cosine along each axis, so that its cosine falls with distance, over the extent of the body in that slice: scans with
different fields of view agree.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

CHANNELS = 4


def with_position(maps: Tensor, images: Tensor, weight: float) -> Tensor:
    """Features at unit length, and the code beside them.

    Args:
        maps: (B, C, h, w).
        images: (B, 1, H, W), those they are of.
        weight: of the code, whose length is sqrt(2) before; 0 gives the maps as they are.

    Returns:
        (B, C + 4, h, w), or the maps.
    """
    if weight == 0:
        return maps
    code = weight * position_code(images, (maps.shape[-2], maps.shape[-1]))
    return torch.cat([functional.normalize(maps, dim=1, eps=1e-6), code.to(maps.dtype)], dim=1)


def position_code(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Sine and cosine of the height, then of the width, in the body of each image: (B, 4, h, w).

    A quarter of a turn leads from the body's centre to its border; what lies farther out counts as there.
    """
    body = (images > (images.amin(dim=(-2, -1), keepdim=True) + images.mean(dim=(-2, -1), keepdim=True)) / 2).float()
    height, width = _places(body.sum(dim=-1)[:, 0], size[0]), _places(body.sum(dim=-2)[:, 0], size[1])
    angles = torch.stack([height[:, :, None].expand(-1, -1, size[1]), width[:, None].expand(-1, size[0], -1)], dim=1)
    angles = angles.clamp(-1, 1) * (math.pi / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1, 2)


def _places(profile: Tensor, count: int) -> Tensor:
    """Where `count` positions lie in a body with this profile (B, n) along an axis: (B, count), -1..1 within it.

    Twice the standard deviation is half the axis of an ellipse. An image without a body is all body.
    """
    profile = torch.where(profile.sum(dim=-1, keepdim=True) > 0, profile, 1.0)
    profile = profile / profile.sum(dim=-1, keepdim=True)
    pixels = (torch.arange(profile.shape[-1], device=profile.device) + 0.5) / profile.shape[-1]
    middle = profile @ pixels
    half = 2 * (profile * (pixels - middle[:, None]) ** 2).sum(dim=-1).sqrt()
    places = (torch.arange(count, device=profile.device) + 0.5) / count
    return (places - middle[:, None]) / half.clamp(min=1 / profile.shape[-1])[:, None]
