"""Where a support's organs lie in a query: their features, laid over the query's at every place, slices and all.

Matching alone finds liver-like tissue from neck to knee. An organ and what surrounds it, compared as one block, has
its place: at a coarse resolution the block is moved over the query, and organs vote against places that would tear
them from each other. [ours: template matching by normalised correlation, on features in place of grey values]

Shapes: n slices, C channels, h x w cells, K organs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from einops import einsum, rearrange
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

# All [ours], chosen on CHAOS fold 0 with the bundled weights: see results/README.md.
CELL_MM = 18.0  # of the coarse lattice, within slices
BIN_MM = 6.0  # the same along the slice axis, unless slices are thicker
COMPONENTS = 32  # principal components of the features that are compared
MEMBER = 0.3  # share of a cell that an organ must fill to count there
RING_MM = 15.0, 48.0  # surroundings that count, along the slice axis and within slices
RING_WEIGHT = 0.5  # of all of them, against the organ itself
REACH_MM = 90.0  # how far within slices an organ may lie from its place in the support, the scans' middles together
LEAST_OVERLAP = 0.5  # of a block's weight that must lie inside the query
TORN_MM, TORN_MOST = 30.0, 4.0  # how far an organ's move is from the common one usually, and at most for the cost
FEW = 3  # organs below which whole slices help to place them
SLAB_MM = 40.0  # how far those reach beyond the organs
TORN_COST = 0.01  # of one such difference, squared, in correlation


@dataclass(frozen=True)
class CoarseScan:
    """Features of a scan on the coarse lattice.

    Attributes:
        cells: (n, C, h, w).
        slice_mm: distance of the slices.
        cell_px: pixels of the network's that a cell has a side.
        pixel_mm: their size.
    """

    cells: Tensor
    slice_mm: float
    cell_px: int
    pixel_mm: float

    @staticmethod
    def of(maps: Tensor, stride: int, slice_mm: float, pixel_mm: float) -> "CoarseScan":
        """Pool feature maps (n, C, H, W), `stride` pixels a position, within slices."""
        side = max(1, round(CELL_MM / (pixel_mm * stride)))
        return CoarseScan(_pooled(maps, side), slice_mm, side * stride, pixel_mm)

    def masks(self, masks: Tensor) -> Tensor:
        """Masks (n, K, Y, X) at the network's pixels as the share of each cell that they fill, (n, K, h, w)."""
        return _pooled(masks, self.cell_px)


@dataclass(frozen=True)
class Place:
    """Where an organ of a support scan lies in a query.

    Attributes:
        shift_mm: along the slice axis, from a position in the support to that in the query, each counted from its
            scan's first edge.
        shift_yx_px: within slices, in the network's pixels, the scans' middles laid together.
        score: correlation there, -1..1.
    """

    shift_mm: float
    shift_yx_px: tuple[int, int]
    score: float


def locate(support: CoarseScan, masks: Tensor, query: CoarseScan) -> list[Place]:
    """Find a support scan's organs in a query.

    Args:
        support: a labelled scan.
        masks: (n, K, h, w) of K organs, as `support.masks` gives them; none is empty.
        query: the scan to search, in the same pixels.

    Returns:
        a place for each organ.
    """
    bin_mm = max(BIN_MM, support.slice_mm, query.slice_mm)
    here, there = _compressed(*(contrasted(binned(s.cells, s.slice_mm, bin_mm)) for s in (support, query)))
    shares = binned(masks, support.slice_mm, bin_mm).cpu().numpy()
    cell_mm = support.cell_px * support.pixel_mm
    organs = shares.shape[1]
    blocks = [_block(shares[:, k], bin_mm, cell_mm) for k in range(organs)]
    if organs < FEW:
        blocks.append(_slab(blocks, bin_mm))
    scores = [_correlate(here, block, there, cell_mm) for block in blocks]
    chosen = _agreed(scores, bin_mm)
    places = []
    for found, i in zip(scores[:organs], chosen[:organs], strict=True):
        y, x = (round(cells * support.cell_px) for cells in found.shift_yx[i].tolist())
        places.append(Place(int(found.shift[i]) * bin_mm, (y, x), float(found.score[i])))
    return places


@dataclass(frozen=True)
class _Scores:
    """An organ's correlation with a query for each move along the slice axis, at the best move within slices.

    Attributes:
        shift: (S,) in bins.
        shift_yx: (S, 2) in cells, perhaps halves, the scans' middles laid together.
        score: (S,).
    """

    shift: npt.NDArray[np.int64]
    shift_yx: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]


def _pooled(maps: Tensor, side: int) -> Tensor:
    return functional.avg_pool2d(maps, side, ceil_mode=True)


def binned(cells: Tensor, slice_mm: float, bin_mm: float) -> Tensor:
    """Average slices (n, C, h, w) into bins of about `bin_mm`, never fewer than one."""
    bins = max(1, round(len(cells) * slice_mm / bin_mm))
    if bins >= len(cells):
        return cells
    volume = rearrange(cells, "n c h w -> 1 c n h w")
    return rearrange(functional.interpolate(volume, size=(bins, *cells.shape[2:]), mode="area"), "1 c n h w -> n c h w")


def contrasted(cells: Tensor) -> Tensor:
    """Unit vectors, after what all of a scan has in common is taken off."""
    return functional.normalize(cells - cells.mean(dim=(0, 2, 3), keepdim=True), dim=1)


def _compressed(here: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Both scans' unit vectors (n, C, h, w) in the first's principal components, unit vectors again."""
    if here.shape[1] <= COMPONENTS:
        return here, there
    scatter = einsum(here, here, "n c h w, n d h w -> c d")
    basis = torch.linalg.eigh(scatter.double()).eigenvectors[:, -COMPONENTS:].to(here.dtype)
    first, second = (
        functional.normalize(einsum(cells, basis, "n c h w, c d -> n d h w"), dim=1) for cells in (here, there)
    )
    return first, second


def _block(shares: npt.NDArray[np.float32], bin_mm: float, cell_mm: float) -> npt.NDArray[np.float32]:
    """Weights (n, h, w) of an organ's cells, 1, and of those around it, which together count half as much."""
    organ = shares >= min(MEMBER, float(shares.max()))
    ring = [max(1, round(mm / step)) for mm, step in zip(RING_MM, (bin_mm, cell_mm), strict=True)]
    box = np.ones((2 * ring[0] + 1, 2 * ring[1] + 1, 2 * ring[1] + 1), dtype=bool)
    around = ndimage.binary_dilation(organ, box) & ~organ
    weights: npt.NDArray[np.float32] = organ + around * np.float32(RING_WEIGHT * organ.sum() / max(1, around.sum()))
    return weights


def _slab(blocks: Sequence[npt.NDArray[np.float32]], bin_mm: float) -> npt.NDArray[np.float32]:
    """Whole slices, about the blocks of organs: another opinion on the move, where organs are few."""
    reached = np.flatnonzero(np.any([block > 0 for block in blocks], axis=(0, 2, 3)))
    more = round(SLAB_MM / bin_mm)
    slab = np.zeros_like(blocks[0])
    slab[max(0, reached[0] - more) : reached[-1] + 1 + more] = 1
    return slab


def _correlate(here: Tensor, weights: npt.NDArray[np.float32], there: Tensor, cell_mm: float) -> _Scores:
    """Move an organ's block over a query.

    Args:
        here: (n, C, h, w) unit vectors of the support.
        weights: (n, h, w) of the block's cells.
        there: (m, C, H, W) of the query.
        cell_mm: side of a cell.
    """
    (box,) = ndimage.find_objects((weights > 0).view(np.uint8))
    weight = torch.from_numpy(weights[box]).to(here)
    block = here[box[0], :, *box[1:]] * weight[:, None]  # d C b b'
    depth, *sides = weight.shape
    reach = round(REACH_MM / cell_mm)
    border = [reach + size for size in here.shape[2:]]
    pad = (border[1], border[1], border[0], border[0])
    inside = functional.pad(torch.ones_like(there[:1, :1]), pad)
    query = functional.pad(there, pad)
    # Cells of the query over which the block is moved: about where it lies in the support, middles laid together.
    apart = [(there.shape[axis] - here.shape[axis]) / 2 for axis in (2, 3)]
    first = [border[i] + box[i + 1].start + int(np.floor(apart[i])) - reach for i in (0, 1)]
    rows, columns = (slice(start, start + side + 2 * reach) for start, side in zip(first, sides, strict=True))
    # Each slice of the query by each of the block, whose slices take the place of channels: five times as fast as a
    # convolution in three dimensions.
    total = _along_slices(functional.conv2d(query[..., rows, columns], block))
    covered = functional.conv2d(inside[..., rows, columns], weight[:, None])
    covered = _along_slices(covered.expand(len(there), -1, -1, -1))
    enough = covered >= LEAST_OVERLAP * float(weight.sum())
    score = torch.where(enough, total / covered.clamp(min=1e-6), -1.0).flatten(1)
    best, place = score.max(dim=1)
    within = np.stack(np.unravel_index(place.cpu().numpy(), total.shape[1:]), axis=1) - reach
    fraction = np.array([np.floor(a) - a for a in apart])
    return _Scores(
        np.arange(len(best)) - (depth - 1) - box[0].start, within + fraction, best.cpu().numpy().astype(np.float64)
    )


def _along_slices(pairs: Tensor) -> Tensor:
    """Add what slices i of a query and j of a block have in common (m, d, h, w) by i - j: (m + d - 1, h, w)."""
    count, depth = pairs.shape[:2]
    pairs = functional.pad(pairs, (0, 0, 0, 0, 0, 0, depth - 1, depth - 1))
    diagonals = [pairs[j : j + count + depth - 1, j] for j in range(depth)]
    return torch.stack(diagonals).sum(dim=0)


def _agreed(scores: Sequence[_Scores], bin_mm: float) -> list[int]:
    """Choose each organ's move along the slice axis: a high score, not far from a move that all have in common."""
    common = np.unique(np.concatenate([s.shift for s in scores]))
    worth = []
    for mine in scores:
        torn = np.minimum(np.abs(mine.shift[:, None] - common) * bin_mm / TORN_MM, TORN_MOST)
        worth.append(mine.score[:, None] - TORN_COST * np.square(torn))
    best = int(sum(w.max(axis=0) for w in worth).argmax())
    return [int(w[:, best].argmax()) for w in worth]
