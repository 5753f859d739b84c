"""Batches for a student: slices of labelled and of pseudo-labelled scans, warped and changed in intensity.

Batch n depends only on (seed, n): a training that is killed and goes on draws the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from psmnet.config import AugmentConfig
from psmnet.learning.targets import IGNORED, Taught
from psmnet.training import generator_of, random_grids, random_intensities


@dataclass(frozen=True)
class StudentBatch:
    """Stacks (B, 3, s, s), labels (B, s, s) long with IGNORED, and open organs (B, K) bool."""

    stacks: Tensor
    labels: Tensor
    open_organs: Tensor

    def part(self, share: int, shares: int) -> "StudentBatch":
        """Every `shares`-th image from number `share` on."""
        return StudentBatch(self.stacks[share::shares], self.labels[share::shares], self.open_organs[share::shares])


class SlicePool:
    """Scans from which slices are drawn.

    Args:
        scans: at least one, with at least one slice.
        organs: number K of organs.
        balanced: share of draws that choose an organ first, then a slice that shows it.
        augment: how slices are changed.
    """

    def __init__(self, scans: Sequence[Taught], organs: int, balanced: float, augment: AugmentConfig) -> None:
        self.scans, self.balanced, self.augment = scans, balanced, augment
        self.all = [(s, z) for s, scan in enumerate(scans) for z in range(len(scan.labels))]
        shown = ([(s, z) for s, scan in enumerate(scans) for z in _slices_with(scan, k)] for k in range(1, organs + 1))
        self.with_organ = [slices for slices in shown if slices]

    def draw(self, size: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A stack (3, size, size), its labels (size, size) and its scan's open organs (K,)."""
        slices = self.all
        if self.with_organ and float(torch.rand((), generator=generator)) < self.balanced:
            slices = self.with_organ[_below(len(self.with_organ), generator)]
        number, z = slices[_below(len(slices), generator)]
        scan = self.scans[number]
        stack = torch.from_numpy(scan.images[scan.neighbours[z]].astype(np.float32))
        labels = torch.from_numpy(scan.labels[z].astype(np.float32))
        stack, labels = _cut(stack, labels[None], size, generator)
        grid = random_grids(size, self.augment, [generator])
        stack = functional.grid_sample(stack[None], grid, "bilinear", "border", align_corners=False)
        labels = functional.grid_sample(labels[None], grid, "nearest", "border", align_corners=False)
        stack = random_intensities(stack, self.augment, [generator])
        return stack[0], labels[0, 0].long(), torch.from_numpy(scan.open_organs)


class StudentBatches:
    """Batches of slices from pools, of labelled scans and of others.

    Args:
        pools: with their numbers of slices in a batch.
        size: side of the images in pixels.
        seed: of all draws.
    """

    def __init__(self, pools: Sequence[tuple[SlicePool, int]], size: int, seed: int) -> None:
        self.pools, self.size, self.seed = pools, size, seed

    def batch(self, step: int) -> StudentBatch:
        """Batch number `step`."""
        drawn = []
        for which, (pool, count) in enumerate(self.pools):
            for number in range(count):
                drawn.append(pool.draw(self.size, generator_of(self.seed, step, which, number)))
        stacks, labels, opened = zip(*drawn, strict=True)
        return StudentBatch(torch.stack(stacks), torch.stack(labels), torch.stack(opened))


def _slices_with(scan: Taught, organ: int) -> list[int]:
    found: list[int] = np.flatnonzero((scan.labels == organ).any(axis=(1, 2))).tolist()
    return found


def _below(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _cut(stack: Tensor, labels: Tensor, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """A window of `size` pixels a side, anywhere inside; smaller images are padded, and labels ignored there."""
    height, width = stack.shape[-2:]
    top, left = (_below(max(1, side - size + 1), generator) for side in (height, width))
    stack, labels = (part[:, top : top + size, left : left + size] for part in (stack, labels))
    above, before = ((size - side) // 2 for side in stack.shape[-2:])
    below, after = size - stack.shape[-2] - above, size - stack.shape[-1] - before
    edges = (before, after, above, below)
    return functional.pad(stack[None], edges, "replicate")[0], functional.pad(labels, edges, value=IGNORED)
