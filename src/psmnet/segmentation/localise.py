"""Locates a support scan's organs in a query by template matching on features.

Slice-wise matching alone would find tissue similar to an organ in the whole scan. Here each organ and its surroundings
form a 3D template of features at coarse resolution, which is shifted over the query. The location with the highest
normalised correlation wins; organs whose shifts along the slice axis differ from the common shift pay a penalty.
[ours: template matching by normalised correlation, with features instead of grey values]

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
CELL_MM = 18.0  # side of the coarse cells within slices
BIN_MM = 6.0  # their size along the slice axis, unless slices are thicker
COMPONENTS = 32  # principal components of the features that are compared
MIN_SHARE = 0.3  # of a cell that an organ must fill for the cell to belong to it
RING_MM = 15.0, 48.0  # width of the surroundings, along the slice axis and within slices
RING_WEIGHT = 0.5  # weight of all surroundings together, relative to the organ
REACH_MM = 90.0  # largest shift within slices, relative to the scans' centres
MIN_OVERLAP = 0.5  # of a template's weight that must lie inside the query
# A shift along the slice axis that differs from the common one by d mm costs DEVIATION_COST * (d / DEVIATION_MM)^2 in
# correlation, with d / DEVIATION_MM limited to MAX_DEVIATION.
DEVIATION_MM, MAX_DEVIATION, DEVIATION_COST = 30.0, 4.0, 0.01
MIN_ORGANS = 3  # with fewer organs, a template of whole slices is added
SLAB_MM = 40.0  # how far that template extends beyond the organs along the slice axis


@dataclass(frozen=True)
class CoarseScan:
    """Features of a scan in coarse cells.

    Attributes:
        cells: (n, C, h, w).
        slice_mm: distance of the slices.
        cell_px: side of a cell in the network's pixels.
        pixel_mm: size of these pixels.
    """

    cells: Tensor
    slice_mm: float
    cell_px: int
    pixel_mm: float

    @staticmethod
    def of(maps: Tensor, stride: int, slice_mm: float, pixel_mm: float) -> "CoarseScan":
        """Average feature maps (n, C, H, W) with `stride` pixels per position to cells within slices."""
        side = max(1, round(CELL_MM / (pixel_mm * stride)))
        return CoarseScan(_pooled(maps, side), slice_mm, side * stride, pixel_mm)

    def masks(self, masks: Tensor) -> Tensor:
        """Share of each cell that masks (n, K, Y, X) at the network's pixels fill: (n, K, h, w)."""
        return _pooled(masks, self.cell_px)


@dataclass(frozen=True)
class OrganLocation:
    """The location of a support scan's organ in a query.

    Attributes:
        shift_mm: shift along the slice axis from support to query, with positions counted from each scan's first edge.
        shift_yx_px: shift within slices in the network's pixels, with positions counted from each scan's centre.
        score: correlation at this location, -1..1.
    """

    shift_mm: float
    shift_yx_px: tuple[int, int]
    score: float


def locate(support: CoarseScan, masks: Tensor, query: CoarseScan) -> list[OrganLocation]:
    """Locate a support scan's organs in a query.

    Args:
        support: a labelled scan.
        masks: (n, K, h, w) of K organs from `support.masks`; none is empty.
        query: the scan to search, with pixels of the same size.

    Returns:
        the location of each organ.
    """
    bin_mm = max(BIN_MM, support.slice_mm, query.slice_mm)
    here, there = _compressed(*(contrasted(binned(s.cells, s.slice_mm, bin_mm)) for s in (support, query)))
    shares = binned(masks, support.slice_mm, bin_mm).cpu().numpy()
    cell_mm = support.cell_px * support.pixel_mm
    organs = shares.shape[1]
    templates = [_template(shares[:, k], bin_mm, cell_mm) for k in range(organs)]
    if organs < MIN_ORGANS:
        templates.append(_slab(templates, bin_mm))
    scores = [_correlate(here, template, there, cell_mm) for template in templates]
    chosen = _consistent(scores, bin_mm)
    locations = []
    for found, i in zip(scores[:organs], chosen[:organs], strict=True):
        y, x = (round(cells * support.cell_px) for cells in found.shift_yx[i].tolist())
        locations.append(OrganLocation(int(found.shift[i]) * bin_mm, (y, x), float(found.score[i])))
    return locations


@dataclass(frozen=True)
class _Scores:
    """Correlation of one template with a query for each shift along the slice axis, at the best shift within slices.

    Attributes:
        shift: (S,) along the slice axis, in bins.
        shift_yx: (S, 2) within slices, in cells (multiples of a half), with positions counted from the scans' centres.
        score: (S,), correlation.
    """

    shift: npt.NDArray[np.int64]
    shift_yx: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]


def _pooled(maps: Tensor, side: int) -> Tensor:
    return functional.avg_pool2d(maps, side, ceil_mode=True)


def binned(cells: Tensor, slice_mm: float, bin_mm: float) -> Tensor:
    """Average slices (n, C, h, w) into at least one bin of about `bin_mm`."""
    bins = max(1, round(len(cells) * slice_mm / bin_mm))
    if bins >= len(cells):
        return cells
    volume = rearrange(cells, "n c h w -> 1 c n h w")
    return rearrange(functional.interpolate(volume, size=(bins, *cells.shape[2:]), mode="area"), "1 c n h w -> n c h w")


def contrasted(cells: Tensor) -> Tensor:
    """Subtract a scan's mean feature and normalise to unit length."""
    return functional.normalize(cells - cells.mean(dim=(0, 2, 3), keepdim=True), dim=1)


def _compressed(here: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Project both scans' unit vectors (n, C, h, w) onto the first scan's principal components, and normalise again."""
    if here.shape[1] <= COMPONENTS:
        return here, there
    scatter = einsum(here, here, "n c h w, n d h w -> c d")
    basis = torch.linalg.eigh(scatter.double()).eigenvectors[:, -COMPONENTS:].to(here.dtype)
    first, second = (
        functional.normalize(einsum(cells, basis, "n c h w, c d -> n d h w"), dim=1) for cells in (here, there)
    )
    return first, second


def _template(shares: npt.NDArray[np.float32], bin_mm: float, cell_mm: float) -> npt.NDArray[np.float32]:
    """Weights (n, h, w) of an organ's template: 1 in its cells, and RING_WEIGHT times their sum spread around them."""
    organ = shares >= min(MIN_SHARE, float(shares.max()))
    ring = [max(1, round(mm / step)) for mm, step in zip(RING_MM, (bin_mm, cell_mm), strict=True)]
    box = np.ones((2 * ring[0] + 1, 2 * ring[1] + 1, 2 * ring[1] + 1), dtype=bool)
    around = ndimage.binary_dilation(organ, box) & ~organ
    weights: npt.NDArray[np.float32] = organ + around * np.float32(RING_WEIGHT * organ.sum() / max(1, around.sum()))
    return weights


def _slab(templates: Sequence[npt.NDArray[np.float32]], bin_mm: float) -> npt.NDArray[np.float32]:
    """Weights of a template of whole slices around the organs, which steadies the common shift of few organs."""
    reached = np.flatnonzero(np.any([template > 0 for template in templates], axis=(0, 2, 3)))
    more = round(SLAB_MM / bin_mm)
    slab = np.zeros_like(templates[0])
    slab[max(0, reached[0] - more) : reached[-1] + 1 + more] = 1
    return slab


def _correlate(here: Tensor, weights: npt.NDArray[np.float32], there: Tensor, cell_mm: float) -> _Scores:
    """Correlate a template with a query at every shift.

    Args:
        here: (n, C, h, w), unit vectors of the support.
        weights: (n, h, w) of the template.
        there: (m, C, H, W), unit vectors of the query.
        cell_mm: side of a cell.
    """
    (box,) = ndimage.find_objects((weights > 0).view(np.uint8))
    weight = torch.from_numpy(weights[box]).to(here)
    template = here[box[0], :, *box[1:]] * weight[:, None]  # d C b b'
    depth, *sides = weight.shape
    reach = round(REACH_MM / cell_mm)
    border = [reach + size for size in here.shape[2:]]
    pad = (border[1], border[1], border[0], border[0])
    inside = functional.pad(torch.ones_like(there[:1, :1]), pad)
    query = functional.pad(there, pad)
    # Cells of the query that the template can reach: REACH_MM around its position in the support, centres aligned.
    apart = [(there.shape[axis] - here.shape[axis]) / 2 for axis in (2, 3)]
    first = [border[i] + box[i + 1].start + int(np.floor(apart[i])) - reach for i in (0, 1)]
    rows, columns = (slice(start, start + side + 2 * reach) for start, side in zip(first, sides, strict=True))
    # Each query slice with each template slice, as output channels of a 2D convolution: five times as fast as a
    # 3D convolution.
    total = _along_slices(functional.conv2d(query[..., rows, columns], template))
    covered = functional.conv2d(inside[..., rows, columns], weight[:, None])
    covered = _along_slices(covered.expand(len(there), -1, -1, -1))
    enough = covered >= MIN_OVERLAP * float(weight.sum())
    score = torch.where(enough, total / covered.clamp(min=1e-6), -1.0).flatten(1)
    best, place = score.max(dim=1)
    within = np.stack(np.unravel_index(place.cpu().numpy(), total.shape[1:]), axis=1) - reach
    fraction = np.array([np.floor(a) - a for a in apart])
    return _Scores(
        np.arange(len(best)) - (depth - 1) - box[0].start, within + fraction, best.cpu().numpy().astype(np.float64)
    )


def _along_slices(pairs: Tensor) -> Tensor:
    """Sum the products of query slice i and template slice j (m, d, h, w) over equal i - j: (m + d - 1, h, w)."""
    count, depth = pairs.shape[:2]
    pairs = functional.pad(pairs, (0, 0, 0, 0, 0, 0, depth - 1, depth - 1))
    diagonals = [pairs[j : j + count + depth - 1, j] for j in range(depth)]
    return torch.stack(diagonals).sum(dim=0)


def _consistent(scores: Sequence[_Scores], bin_mm: float) -> list[int]:
    """Choose the index of each template's shift: a high score, and little deviation from a common shift."""
    common = np.unique(np.concatenate([s.shift for s in scores]))
    totals = []
    for one in scores:
        deviation = np.minimum(np.abs(one.shift[:, None] - common) * bin_mm / DEVIATION_MM, MAX_DEVIATION)
        totals.append(one.score[:, None] - DEVIATION_COST * np.square(deviation))
    best = int(sum(total.max(axis=0) for total in totals).argmax())
    return [int(total[:, best].argmax()) for total in totals]
