"""Suggests which scans to label first, so that the others are segmented best. [ours]

A labelled scan is useful for another one if points of the body in one are found at the right height in the other. This
can be measured without labels: each point is matched with the most similar point of the other scan. In a useful scan
most matches have the same shift along the body; otherwise the shifts scatter. The similarity itself tells little,
since it mainly depends on the scanner. Figures in results/README.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor

from psmnet.errors import ConfigError
from psmnet.models import Weights
from psmnet.segmentation.checks import require_contrast
from psmnet.segmentation.inference import mask_tensor
from psmnet.segmentation.localise import REACH_MM, binned, contrasted
from psmnet.segmentation.scan_encoder import ScanEncoder
from psmnet.volume import Volume, body_mask

BIN_MM = 7.5  # distance of points along the slice axis, unless slices are thicker
AGREED_MM = 20.0  # largest difference of a match's shift from the median shift
POINTS = 400  # points of a scan that are matched
REFERENCES = 64  # scans with which each is compared; of more scans, an even selection
INSIDE = 0.5  # share of a point's cell that the body must fill


@dataclass(frozen=True)
class BodyPoints:
    """Points of a body and their features.

    Attributes:
        features: (P, C), unit vectors in half precision.
        zyx_mm: (P, 3), positions; within slices counted from the scan's centre.
    """

    features: Tensor
    zyx_mm: Tensor

    def __len__(self) -> int:
        return len(self.zyx_mm)

    def some(self, count: int) -> "BodyPoints":
        """At most `count` points, evenly spread."""
        chosen = torch.linspace(0, len(self) - 1, min(count, len(self))).round().long()
        return BodyPoints(self.features[chosen], self.zyx_mm[chosen])


@dataclass(frozen=True)
class Suggestion:
    """Scans worth labelling.

    Attributes:
        chosen: indices of the scans, the best first; each one adds most to those before it.
        agreement: (N,), mean agreement of each scan with the others, 0..1.
    """

    chosen: tuple[int, ...]
    agreement: npt.NDArray[np.float64]


def suggest(scans: Iterable[Volume], weights: Weights, *, k: int = 1, device: torch.device) -> Suggestion:
    """Choose scans to label, so that the others are segmented best from them.

    Args:
        scans: of one part of the body, in any orientation; they are read one after another, and none is kept.
        weights: network and normalisation.
        k: how many to choose.
        device: where the network runs.

    Raises:
        ConfigError: k is below 1 or not below the number of scans.
        InputError: all voxels of a scan have one value.
    """
    encoder: ScanEncoder | None = None
    points = []
    for scan in scans:
        require_contrast(scan, "the scan")
        encoder = encoder or ScanEncoder(weights, device, [scan])
        points.append(body_points(encoder, scan))
    if not 1 <= k < len(points):
        raise ConfigError(f"{k} of {len(points)} scans", "choose at least one, and fewer than there are")
    others = np.unique(np.linspace(0, len(points) - 1, min(REFERENCES, len(points))).round().astype(np.int64))
    return choose_scans(agreements(points, others.tolist()), others, k)


def choose_scans(matrix: npt.NDArray[np.float64], references: npt.NDArray[np.int64], k: int) -> Suggestion:
    """Choose k scans by their agreement (N, R) with the references (R,), as `agreements` returns it."""
    agreement = _without_itself(matrix, references)
    # An unusual scan always covers what no other does, itself. Therefore only the more typical half can be chosen.
    typical = np.argsort(-agreement, kind="stable")[: max(k, (len(matrix) + 1) // 2)]
    return Suggestion(tuple(int(typical[i]) for i in cover(matrix[typical], k)), agreement)


def body_points(encoder: ScanEncoder, scan: Volume) -> BodyPoints:
    """Points of a scan's body; of the whole scan if no body is found."""
    view = encoder.view(scan)
    coarse = encoder.coarse(view)
    body = body_mask(view.seen.array_zyx, None, view.seen.spacing_mm)
    slice_mm = coarse.slice_mm
    shares = [coarse.masks(view.grid.to_pixels(mask_tensor(body[part], [True]), 0.0)) for part in view.batches]
    bin_mm = max(BIN_MM, slice_mm)
    cells = contrasted(binned(coarse.cells, slice_mm, bin_mm))
    inside = binned(torch.cat(shares).to(cells), slice_mm, bin_mm)[:, 0] >= INSIDE
    if not inside.any():
        inside = torch.ones_like(inside)
    cell_mm = coarse.cell_px * coarse.pixel_mm
    steps = len(coarse.cells) * slice_mm / len(cells), cell_mm, cell_mm
    axes = [torch.arange(size) * step for size, step in zip(inside.shape, steps, strict=True)]
    axes[1:] = [axis - axis.mean() for axis in axes[1:]]
    where = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).to(cells)
    return BodyPoints(rearrange(cells, "n c h w -> n h w c")[inside].half(), where[inside])


def agreements(points: list[BodyPoints], references: list[int]) -> npt.NDArray[np.float64]:
    """Agreement of N scans with R references: (N, R), 0..1; 1 of a scan with itself."""
    some = [one.some(POINTS) for one in points]
    matrix = np.ones((len(points), len(references)))
    for i, here in enumerate(points):
        for j, reference in enumerate(references):
            if i != reference:
                there = points[reference]
                matrix[i, j] = (_agreement(some[i], there) + _agreement(some[reference], here)) / 2
    return matrix


def _agreement(source: BodyPoints, target: BodyPoints) -> float:
    """Share of source points whose most similar target point has about the median shift along the slice axis."""
    similar = source.features.float() @ target.features.float().T
    apart = (source.zyx_mm[:, None, 1:] - target.zyx_mm[None, :, 1:]).abs().amax(dim=-1)
    found = similar.masked_fill_(apart > REACH_MM, -1.0).argmax(dim=1)
    shift = target.zyx_mm[found, 0] - source.zyx_mm[:, 0]
    return float(((shift - shift.median()).abs() <= AGREED_MM).double().mean())


def cover(matrix: npt.NDArray[np.float64], k: int) -> tuple[int, ...]:
    """Choose scans one by one, each the one that most raises the references' best agreement with a chosen scan.

    [Greedy facility location: Nemhauser, Wolsey and Fisher, Math. Programming 14 (1978) 265]

    Args:
        matrix: (N, R), as `agreements` returns it.
        k: number of scans to choose.
    """
    chosen: list[int] = []
    covered = np.zeros(matrix.shape[1])
    for _ in range(k):
        gain = np.maximum(matrix, covered).sum(axis=1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        covered = np.maximum(covered, matrix[chosen[-1]])
    return tuple(chosen)


def _without_itself(matrix: npt.NDArray[np.float64], references: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean agreement with the references (N,), without a scan's agreement with itself."""
    own = np.arange(len(matrix))[:, None] == references
    mean: npt.NDArray[np.float64] = np.where(own, 0.0, matrix).sum(axis=1) / np.maximum((~own).sum(axis=1), 1)
    return mean
