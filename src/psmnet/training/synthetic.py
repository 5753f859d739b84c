"""Synthetic episodes: random label maps in a body-like ellipse, drawn as two patients with random intensities.

[ours] No real image is used, so that no data licence restricts weights trained on these. Learning from random label
maps with random contrasts is the idea of SynthSeg and SynthMorph (Billot et al. 2023, Hoffmann et al. 2022).
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from psmnet.config import AugmentConfig
from psmnet.models import Episode
from psmnet.training.augment import generator_of, random_grids, random_intensities, smooth_noise, uniform, warp
from psmnet.training.episodes import both_visible, gathered, targets_of

REGIONS = (6, 22)  # number of tissues in the background, from .. below
ORGANS = (3, 12)  # number of organs
MIN_TARGET_PX_SHARE = 100 / 256**2
# Shares of: label maps whose body is larger than the image, organs with a shell, crescent-shaped organs, pairs with
# few intensity levels, pairs with coarse pixels.
CROPPED, SHELLS, CRESCENTS, FEW_LEVELS, COARSE = 0.35, 0.35, 0.2, 0.4, 0.4
VESSEL_LEVEL = 1.3


class SyntheticEpisodes:
    """Batches of one-shot episodes from random label maps.

    Args:
        size: image height and width.
        pairs: image pairs in a batch (B).
        targets: labels per pair (K).
        seed: of all random numbers; episode n depends only on (seed, n).
    """

    # Two patients differ more than two views of one: wide smooth deformations, different contrast and noise.
    patients = AugmentConfig(
        rotation_deg=12,
        shear_deg=8,
        shift_px=20,
        scale=(0.85, 1.2),
        elastic_alpha_px=900,
        elastic_sigma_px=20,
        gamma=(0.6, 1.6),
        bias_field=0.35,
        noise=0.15,
    )

    def __init__(self, size: int, pairs: int, targets: int, seed: int) -> None:
        self.size = size
        self.pairs = pairs
        self.targets = targets
        self.seed = seed

    def batch(self, step: int, share: int = 0, shares: int = 1) -> Episode:
        """Episodes number step * pairs to (step + 1) * pairs - 1, or a share of them."""
        return gathered(self._episode, step, self.pairs, share, shares)

    def _episode(self, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        attempt = 0
        while True:
            generator = generator_of(self.seed, number, attempt)
            labels = random_label_map(self.size, generator)
            generators = [generator, generator]
            grids = random_grids(self.size, self.patients, generators)
            _, pair = warp(torch.zeros(2, 1, self.size, self.size), labels.expand(2, -1, -1), grids)
            present, counts = labels.unique(return_counts=True)
            present = present[(present > 1) & (counts >= MIN_TARGET_PX_SHARE * labels.numel())]
            chosen = present[torch.randperm(len(present), generator=generator)[: self.targets]]
            masks = targets_of(pair, chosen)
            valid = both_visible(masks)
            if valid.any():
                break
            attempt += 1
        images = paint(pair, generator)
        images = random_intensities(images, self.patients, generators)
        images = (images - images.mean(dim=(1, 2, 3), keepdim=True)) / images.std(dim=(1, 2, 3), keepdim=True)
        pad = self.targets - len(chosen)
        masks = functional.pad(masks, (0, 0, 0, 0, 0, pad))
        return images[:1], masks[:1], images[1], masks[1], functional.pad(valid, (0, pad))


def random_label_map(size: int, generator: Generator) -> Tensor:
    """A body of random tissues and organs: (size, size) long; 0 air, 1 the body's rim, from 2 tissues and organs."""
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    wobble = 0.06 * smooth_noise(1, 5, size, generator)[0]
    # Scans of the heart or the hip show only a part of the body.
    zoom = uniform((1.1, 2.0), generator) if _happens(CROPPED, generator) else torch.ones(())
    radius_x, radius_y = uniform((0.65, 0.98), generator) * zoom, uniform((0.45, 0.85), generator) * zoom
    radius = torch.sqrt((x / radius_x) ** 2 + (y / radius_y) ** 2) + wobble
    rim = uniform((0.03, 0.25), generator)

    count = int(torch.randint(REGIONS[0], REGIONS[1], (), generator=generator))
    cells = int(torch.randint(3, 10, (), generator=generator))
    coarse = smooth_noise(count, cells, size, generator)
    fine = smooth_noise(count, 2 * cells, size, generator)
    labels = 2 + (coarse + 0.4 * fine).argmax(dim=0)

    organs = int(torch.randint(ORGANS[0], ORGANS[1], (), generator=generator))
    shape = 0.25 * smooth_noise(organs, 6, size, generator)
    for organ in range(organs):
        centre_x = uniform((-0.75, 0.75), generator) * radius_x.clamp(max=1)
        centre_y = uniform((-0.75, 0.75), generator) * radius_y.clamp(max=1)
        angle = uniform((0, math.pi), generator)
        # Many small organs and few large ones.
        long = 0.07 * (7.0 ** torch.rand((), generator=generator))
        short = long * uniform((0.4, 1.0), generator)
        u = ((x - centre_x) * angle.cos() + (y - centre_y) * angle.sin()) / long
        v = ((y - centre_y) * angle.cos() - (x - centre_x) * angle.sin()) / short
        depth = 1 - (u**2 + v**2 + shape[organ])  # above 0 inside
        label = 2 + count + 2 * organ
        if _happens(CRESCENTS, generator):  # a spleen, a right ventricle
            depth = torch.minimum(depth, (u - uniform((0.3, 1.0), generator)) ** 2 + v**2 - 1)
        labels[depth > 0] = label
        if _happens(SHELLS, generator):  # a ventricle in its muscle, a kidney in its cortex
            labels[depth > uniform((0.25, 0.75), generator)] = label + 1
    labels[radius > 1 - rim] = 1
    labels[radius > 1] = 0
    return labels


def paint(pair: Tensor, generator: Generator) -> Tensor:
    """Draw two label maps (2, H, W) with the contrasts of one kind of scan: images (2, 1, H, W), about 0..1."""
    count = int(pair.max()) + 1
    size = pair.shape[-1]
    mean = torch.rand(count, generator=generator)
    if _happens(FEW_LEVELS, generator):  # CT without contrast medium: most organs are as bright as muscle
        levels = torch.rand(int(torch.randint(3, 7, (), generator=generator)), generator=generator)
        mean = levels[torch.randint(len(levels), (count,), generator=generator)] + 0.15 * (mean - 0.5)
    mean[0] = 0.05 * torch.rand((), generator=generator)
    texture = 0.12 * torch.rand(count, generator=generator) ** 2
    texture[0] = 0.01
    cells = torch.randint(size // 16, size // 2, (2,), generator=generator)
    grain = torch.stack(
        [
            torch.stack([smooth_noise(1, int(c), size, generator)[0] for c in cells])
            for _ in range(2)  # the same kind of texture in both, but different noise
        ]
    )
    coarse_grained = torch.rand(count, generator=generator) < 0.5
    differs = 0.06 * torch.randn(2, count, generator=generator)  # the same organ in two patients
    vessels = 0.5 * (torch.rand(count, generator=generator) - 0.5) * (torch.rand(count, generator=generator) < 0.3)
    branches = torch.stack([smooth_noise(1, size // 8, size, generator)[0] > VESSEL_LEVEL for _ in range(2)])
    images = []
    for patient in range(2):
        ids = pair[patient]
        noise = torch.where(coarse_grained[ids], grain[patient, 0], grain[patient, 1])
        images.append((mean + differs[patient])[ids] + texture[ids] * noise + vessels[ids] * branches[patient])
    painted = torch.stack(images)[:, None]
    blur = functional.avg_pool2d(painted, 3, 1, 1, count_include_pad=False)
    painted = torch.lerp(blur, painted, torch.rand((), generator=generator))
    if _happens(COARSE, generator):  # scanned with fewer pixels than shown
        pixels = int(uniform((0.4, 1.0), generator) * size)
        coarse = functional.interpolate(painted, size=(pixels, pixels), mode="bilinear", antialias=True)
        painted = functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    return painted.clamp(min=0)


def _happens(share: float, generator: Generator) -> bool:
    return bool(torch.rand((), generator=generator) < share)
