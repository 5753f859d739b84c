"""Random warps and intensity changes of batches of slices, with random numbers from given generators only.

Lengths in `AugmentConfig` are pixels of a 256 pixel slice and are scaled to the actual slice.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Generator, Tensor
from torch.nn import functional

from psmnet.config import AugmentConfig

REFERENCE_PX = 256


def random_grids(size: int, config: AugmentConfig, generators: Sequence[Generator]) -> Tensor:
    """One random warp per generator, as sampling grids (N, size, size, 2) for `warp`."""
    scale = size / REFERENCE_PX
    affine = torch.stack([_random_affine(config, generator) for generator in generators])
    grids = functional.affine_grid(affine, [len(generators), 1, size, size], align_corners=False)
    if config.elastic_alpha_px > 0:
        noise = torch.stack([2 * torch.rand(2, size, size, generator=g) - 1 for g in generators])
        # Simard et al. 2003: uniform noise, smoothed, times alpha. Smoothing with a smaller sigma on a smaller
        # slice leaves a larger amplitude (in 2D by 1 / sigma); alpha is therefore scaled twice, so that displacements
        # keep their share of the slice.
        field = smooth(noise, config.elastic_sigma_px * scale) * config.elastic_alpha_px * scale * scale
        grids = grids + field.movedim(1, -1) * (2 / size)
    return grids


def warp(images: Tensor, labels: Tensor, grids: Tensor) -> tuple[Tensor, Tensor]:
    """Sample images (N, 1, H, W) bilinearly and labels (N, H, W) by nearest neighbour.

    Outside the slice images repeat their border, and labels are 0.
    """
    warped = functional.grid_sample(images, grids, mode="bilinear", padding_mode="border", align_corners=False)
    ids = functional.grid_sample(
        labels[:, None].float(), grids, mode="nearest", padding_mode="zeros", align_corners=False
    )
    return warped, ids[:, 0].long()


def random_intensities(images: Tensor, config: AugmentConfig, generators: Sequence[Generator]) -> Tensor:
    """Apply random gamma, bias field and noise, one draw per generator; images (N, 1, H, W) about keep their range."""
    low = images.amin(dim=(1, 2, 3), keepdim=True)
    span = (images.amax(dim=(1, 2, 3), keepdim=True) - low).clamp(min=1e-6)
    gamma = torch.stack([uniform(config.gamma, g) for g in generators])[:, None, None, None]
    images = low + span * ((images - low) / span).clamp(0, 1) ** gamma
    if config.bias_field > 0:
        field = torch.stack([smooth_noise(1, 4, images.shape[-1], g) for g in generators])
        images = low + (images - low) * (field * config.bias_field).exp()
    if config.noise > 0:
        noise = torch.stack([torch.randn(images.shape[1:], generator=g) for g in generators])
        level = torch.stack([uniform((0, config.noise), g) for g in generators])[:, None, None, None]
        images = images + noise * level * images.std(dim=(1, 2, 3), keepdim=True)
    return images


def smooth(fields: Tensor, sigma_px: float) -> Tensor:
    """Gaussian smoothing of (N, D, H, W), with zeros outside."""
    rows, columns = (_gaussian(fields.shape[axis], sigma_px).to(fields) for axis in (-2, -1))
    return rows @ fields @ columns


def smooth_noise(channels: int, cells: int, size: int, generator: Generator) -> Tensor:
    """Standard normal noise on a `cells` x `cells` grid, interpolated bicubically to (channels, size, size)."""
    coarse = torch.randn(channels, cells, cells, generator=generator)
    enlarge = _enlargement(cells, size)
    return enlarge @ coarse @ enlarge.T


# Both are linear along each axis; a matrix product takes a tenth of the time of a convolution or interpolation.
@lru_cache(maxsize=64)
def _gaussian(size: int, sigma_px: float) -> Tensor:
    """Matrix (size, size) of a Gaussian that is cut off at three sigma."""
    positions = torch.arange(size, dtype=torch.float32)
    apart = (positions[:, None] - positions).abs()
    radius = max(1, math.ceil(3 * sigma_px))
    reach = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (apart / sigma_px) ** 2) * (apart <= radius)
    return kernel / torch.exp(-0.5 * (reach / sigma_px) ** 2).sum()


@lru_cache(maxsize=256)
def _enlargement(cells: int, size: int) -> Tensor:
    """Matrix (size, cells) of bicubic interpolation along one axis."""
    identity = torch.eye(cells)[:, None, None]
    along = functional.interpolate(identity, size=(1, size), mode="bicubic", align_corners=False)
    return along[:, 0, 0].T.contiguous()


def uniform(bounds: tuple[float, float], generator: Generator) -> Tensor:
    """One uniform draw between two bounds, a scalar tensor."""
    return bounds[0] + (bounds[1] - bounds[0]) * torch.rand((), generator=generator)


def generator_of(*keys: int) -> Generator:
    """A generator whose state depends only on these numbers (seed, episode, ...)."""
    state = 0x9E3779B97F4A7C15
    for key in keys:  # splitmix64, so that neighbouring episodes are independent
        state = (state + (key + 1) * 0x9E3779B97F4A7C15) & (2**64 - 1)
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        state ^= state >> 31
    return Generator().manual_seed(state & (2**63 - 1))


def _random_affine(config: AugmentConfig, generator: Generator) -> Tensor:
    """Matrix (2, 3) from output to input coordinates, -1..1."""
    angle, shear, dx, dy = (2 * torch.rand(4, generator=generator) - 1).unbind()
    angle = angle * math.radians(config.rotation_deg)
    shear = torch.tan(shear * math.radians(config.shear_deg))
    # The matrix maps output to input: enlarging means dividing.
    zoom = 1 / uniform(config.scale, generator)
    shift = torch.stack([dx, dy]) * config.shift_px * 2 / REFERENCE_PX
    rotation = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    skew = torch.eye(2)
    skew[0, 1] = shear
    return torch.cat([zoom * rotation @ skew, shift[:, None]], dim=1)
