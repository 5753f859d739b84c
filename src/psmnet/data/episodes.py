"""Self-supervised episodes: two augmentations of one slice, its superpixels as targets.

Everything random in episode n depends on (seed, n) alone: never on a worker, a rank or what came before.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor
from torch.nn import functional

from psmnet.config import AugmentConfig
from psmnet.data.augment import generator_of, random_grids, random_intensities, warp
from psmnet.errors import InputError
from psmnet.types import Episode

SMALLEST_TARGET_SHARE = 100 / 256**2  # of a slice: smaller superpixels teach a 1/4 or 1/8 feature grid nothing
ATTEMPTS = 8


class EpisodeSource(Protocol):
    """Whatever training draws from: batch `step` is always the same batch."""

    def batch(self, step: int) -> Episode:
        """The episodes of one optimiser step."""


@dataclass(frozen=True)
class SliceBank:
    """Slices that training draws from.

    Attributes:
        images: (M, 1, s, s) float, normalised.
        ids: (M, s, s) int, pseudo-labels; 0 is no target.
    """

    images: Tensor
    ids: Tensor

    @staticmethod
    def of_volumes(
        volumes: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]], size: int
    ) -> "SliceBank":
        """Gather slices.

        Args:
            volumes: normalised image (Z, Y, X), pseudo-labels (Z, Y, X), and which slices may be used (Z,).
            size: s.

        Raises:
            InputError: no slice has a usable superpixel.
        """
        images, ids = [], []
        for image, labels, allowed in volumes:
            if allowed.any():
                images.append(resize_images(torch.from_numpy(image[allowed])[:, None], size))
                ids.append(resize_ids(torch.from_numpy(labels[allowed]), size))
        bank = SliceBank(torch.cat(images), torch.cat(ids)) if images else None
        kept = [] if bank is None else [i for i, slice_ids in enumerate(bank.ids) if len(_usable(slice_ids))]
        if bank is None or not kept:
            raise InputError("no training slice has a usable superpixel", "check the scans, the setting and the group")
        return SliceBank(bank.images[kept], bank.ids[kept])


def resize_images(images: Tensor, size: int) -> Tensor:
    """(N, 1, H, W) to (N, 1, size, size), antialiased when shrinking."""
    if images.shape[-2:] == (size, size):
        return images
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def resize_ids(ids: Tensor, size: int) -> Tensor:
    """(N, H, W) integers to (N, size, size) by nearest neighbour."""
    if ids.shape[-2:] == (size, size):
        return ids.to(torch.int32)
    return functional.interpolate(ids[:, None].float(), size=(size, size), mode="nearest-exact")[:, 0].to(torch.int32)


class SuperpixelEpisodes:
    """Batches of one-shot episodes from a bank of slices.

    Args:
        bank: where slices come from.
        pairs: image pairs in a batch (B).
        targets: superpixels a pair shares (K); a slice with fewer is padded with targets that are not valid.
        augment: how far support and query differ.
        seed: of everything random.
    """

    def __init__(self, bank: SliceBank, pairs: int, targets: int, augment: AugmentConfig, seed: int) -> None:
        self.bank = bank
        self.pairs = pairs
        self.targets = targets
        self.augment = augment
        self.seed = seed
        self._usable = [_usable(ids) for ids in bank.ids]

    def batch(self, step: int) -> Episode:
        """Episodes step * pairs ... of the endless list."""
        episodes = [self._episode(step * self.pairs + i) for i in range(self.pairs)]
        return Episode(*(torch.stack(parts) for parts in zip(*episodes, strict=True)))

    def _episode(self, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """One episode without its batch axis, in the order of Episode's fields."""
        for attempt in range(ATTEMPTS):
            generator = generator_of(self.seed, number, attempt)
            slice_number, chosen = self._choose(generator)
            image = self.bank.images[slice_number].expand(2, -1, -1, -1)
            ids = self.bank.ids[slice_number].expand(2, -1, -1)
            generators = [generator, generator]  # support first, then query: one stream, drawn in order
            images, ids = warp(image, ids, random_grids(image.shape[-1], self.augment, generators))
            images = random_intensities(images, self.augment, generators)
            masks = targets_of(ids, chosen)
            valid = both_visible(masks)
            if valid.any():
                break
        else:  # warps kept throwing the targets out of the slice: the slice itself is an episode too
            images, masks = image, targets_of(self.bank.ids[slice_number].expand(2, -1, -1), chosen)
            valid = both_visible(masks)
        pad = self.targets - len(chosen)
        masks = functional.pad(masks, (0, 0, 0, 0, 0, pad))
        return images[:1], masks[:1], images[1], masks[1], functional.pad(valid, (0, pad))

    def _choose(self, generator: Generator) -> tuple[int, Tensor]:
        slice_number = int(torch.randint(len(self._usable), (), generator=generator))
        usable = self._usable[slice_number]
        return slice_number, usable[torch.randperm(len(usable), generator=generator)[: self.targets]]


def targets_of(ids: Tensor, chosen: Tensor) -> Tensor:
    """Masks (N, K, H, W) float of the chosen ids (K,) in id maps (N, H, W)."""
    return (ids[:, None] == chosen[:, None, None]).float()


def both_visible(masks: Tensor) -> Tensor:
    """(K,) bool: targets of masks (2, K, H, W) that fill the smallest usable share in support and query."""
    return (masks.mean(dim=(-2, -1)) >= SMALLEST_TARGET_SHARE / 2).all(dim=0)


def _usable(ids: Tensor) -> Tensor:
    """Ids of a slice (s, s) that are large enough to be a target, ascending."""
    present, counts = ids.unique(return_counts=True)
    usable: Tensor = present[(present > 0) & (counts >= SMALLEST_TARGET_SHARE * ids.numel())]
    return usable
