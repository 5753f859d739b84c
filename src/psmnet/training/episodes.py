"""Self-supervised episodes: two augmentations of a slice (or of neighbours), pseudo-labels as targets.

All random numbers of episode n depend only on (seed, n): not on workers, ranks or earlier episodes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor
from torch.nn import functional

from psmnet.config import AugmentConfig
from psmnet.errors import InputError
from psmnet.models import Episode, resize_images
from psmnet.training.augment import generator_of, random_grids, random_intensities, warp

SMALLEST_TARGET_SHARE = 100 / 256**2  # of a slice: smaller superpixels vanish on a feature grid of 1/4 or 1/8
ATTEMPTS = 8


class EpisodeSource(Protocol):
    """Source of training episodes; batch `step` is always the same batch."""

    def batch(self, step: int, share: int = 0, shares: int = 1) -> Episode:
        """The episodes of one optimiser step, or one of the `shares` into which they are divided."""


@dataclass(frozen=True)
class SliceBank:
    """Slices from which training episodes are drawn.

    Attributes:
        images: (M, 1, s, s) float, normalised.
        ids: (M, s, s) int, pseudo-labels; 0 means no target.
        scans: (M,) int, number of each slice's scan.
        positions: (M,) int, number of the slice in its scan.
    """

    images: Tensor
    ids: Tensor
    scans: Tensor
    positions: Tensor

    @staticmethod
    def of_volumes(
        volumes: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]], size: int
    ) -> "SliceBank":
        """Collect slices.

        Args:
            volumes: for each scan, normalised image (Z, Y, X), pseudo-labels (Z, Y, X), and usable slices (Z,) bool.
            size: s, to which slices are resized.

        Raises:
            InputError: no slice has a usable target.
        """
        parts = []
        for scan, (image, labels, allowed) in enumerate(volumes):
            positions = torch.from_numpy(np.flatnonzero(allowed))
            if len(positions):
                images = resize_images(torch.from_numpy(image[allowed])[:, None], size)
                ids = resize_ids(torch.from_numpy(labels[allowed]), size)
                parts.append((images, ids, torch.full_like(positions, scan), positions))
        gathered = [torch.cat(column) for column in zip(*parts, strict=True)]
        kept = [i for i, slice_ids in enumerate(gathered[1]) if len(_usable(slice_ids))] if gathered else []
        if not kept:
            raise InputError("no training slice has a usable target", "check the scans, the setting and the group")
        return SliceBank(*(column[kept] for column in gathered))


def resize_ids(ids: Tensor, size: int) -> Tensor:
    """(N, H, W) integers to (N, size, size) by nearest neighbour."""
    if ids.shape[-2:] == (size, size):
        return ids.to(torch.int32)
    return functional.interpolate(ids[:, None].float(), size=(size, size), mode="nearest-exact")[:, 0].to(torch.int32)


class SelfSupervisedEpisodes:
    """Batches of one-shot episodes from a bank of slices.

    Args:
        bank: of slices.
        pairs: image pairs in a batch (B).
        targets: pseudo-labels per pair (K); a pair with fewer is padded with invalid targets.
        augment: how much support and query may differ.
        seed: of all random numbers.
        reach: largest distance of the query from its support, in slices: 0 for superpixels, whose ids have no meaning
            in another slice; 1 for supervoxels.
        skip_last: never draw a slice's last id, as published training code does (legacy bug `superpixel-ids`).
    """

    def __init__(
        self,
        bank: SliceBank,
        pairs: int,
        targets: int,
        augment: AugmentConfig,
        seed: int,
        *,
        reach: int = 0,
        skip_last: bool = False,
    ) -> None:
        self.bank = bank
        self.pairs = pairs
        self.targets = targets
        self.augment = augment
        self.seed = seed
        self._usable = [_usable(ids) for ids in bank.ids]
        if skip_last:
            self._usable = [usable[usable < ids.max()] for usable, ids in zip(self._usable, bank.ids, strict=True)]
        self._supports = [number for number, usable in enumerate(self._usable) if len(usable)]
        if not self._supports:
            raise InputError("no training slice has a usable target", "check the scans, the setting and the group")
        self._queries = [self._within(reach, number) for number in range(len(self._usable))]

    def batch(self, step: int, share: int = 0, shares: int = 1) -> Episode:
        """Episodes number step * pairs to (step + 1) * pairs - 1, or a share of them."""
        return gathered(self._episode, step, self.pairs, share, shares)

    def _episode(self, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """One episode without its batch axis, in the order of Episode's fields."""
        for attempt in range(ATTEMPTS):
            generator = generator_of(self.seed, number, attempt)
            pair, chosen = self._choose(generator)
            image, ids = self.bank.images[pair], self.bank.ids[pair]
            generators = [generator, generator]  # one generator for both: the support's numbers are drawn first
            images, ids = warp(image, ids, random_grids(image.shape[-1], self.augment, generators))
            images = random_intensities(images, self.augment, generators)
            masks = targets_of(ids, chosen)
            valid = both_visible(masks)
            if valid.any():
                break
        else:  # every warp moved the targets out of the slice: use the slice itself
            images, masks = image, targets_of(self.bank.ids[pair], chosen)
            valid = both_visible(masks)
        pad = self.targets - len(chosen)
        masks = functional.pad(masks, (0, 0, 0, 0, 0, pad))
        return images[:1], masks[:1], images[1], masks[1], functional.pad(valid, (0, pad))

    def _choose(self, generator: Generator) -> tuple[list[int], Tensor]:
        """Numbers of the support's and the query's slice, and the targets that both show."""
        support = self._supports[int(torch.randint(len(self._supports), (), generator=generator))]
        queries, query = self._queries[support], support
        if len(queries) > 1:
            query = queries[int(torch.randint(len(queries), (), generator=generator))]
        usable = self._shared(support, query)
        return [support, query], usable[torch.randperm(len(usable), generator=generator)[: self.targets]]

    def _within(self, reach: int, number: int) -> list[int]:
        """Slices that can be the query of this slice: within reach in the same scan, with a common target."""
        near = (self.bank.positions - self.bank.positions[number]).abs() <= reach
        same = self.bank.scans == self.bank.scans[number]
        return [other for other in torch.nonzero(near & same)[:, 0].tolist() if len(self._shared(number, other))]

    def _shared(self, support: int, query: int) -> Tensor:
        usable = self._usable[support]
        return usable if support == query else usable[torch.isin(usable, self._usable[query])]


def gathered(episode: Callable[[int], tuple[Tensor, ...]], step: int, pairs: int, share: int, shares: int) -> Episode:
    """Stack the episodes of a share of a batch; `episode(number)` returns one without batch axis."""
    first, last = pairs * share // shares, pairs * (share + 1) // shares
    episodes = [episode(step * pairs + i) for i in range(first, last)]
    return Episode(*(torch.stack(parts) for parts in zip(*episodes, strict=True)))


def targets_of(ids: Tensor, chosen: Tensor) -> Tensor:
    """Masks (N, K, H, W) float of the chosen ids (K,) in id maps (N, H, W)."""
    return (ids[:, None] == chosen[:, None, None]).float()


def both_visible(masks: Tensor) -> Tensor:
    """Whether targets of masks (2, K, H, W) are large enough in support and query: (K,) bool."""
    return (masks.mean(dim=(-2, -1)) >= SMALLEST_TARGET_SHARE / 2).all(dim=0)


def _usable(ids: Tensor) -> Tensor:
    """Ids of a slice (s, s) with enough pixels for a target, ascending."""
    present, counts = ids.unique(return_counts=True)
    usable: Tensor = present[(present > 0) & (counts >= SMALLEST_TARGET_SHARE * ids.numel())]
    return usable
