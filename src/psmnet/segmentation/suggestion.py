"""Which scans to label first, so that the rest come out best. [ours]

A labelled scan serves another if the places of the one are found in the other where they belong. That can be seen
without a label: each place of the body looks for the most similar place of the other scan. In a scan that serves,
neighbours agree how far they moved along the body; in one that does not, they scatter. How similar the places are says
little: it measures the scanner. Figures in results/README.md.
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

BIN_MM = 7.5  # of places along the slice axis, unless slices are thicker
AGREED_MM = 20.0  # how far a place may lie from where the others' common move puts it
ASKED = 400  # places of a scan that look for their like
REFERENCES = 64  # scans against which each is held; with more there, evenly spread among them
INSIDE = 0.5  # share of a place that the body must fill


@dataclass(frozen=True)
class Places:
    """Places of a body, P of them.

    Attributes:
        features: (P, C) unit vectors, half precision.
        zyx_mm: (P, 3), within slices from the scan's middle.
    """

    features: Tensor
    zyx_mm: Tensor

    def __len__(self) -> int:
        return len(self.zyx_mm)

    def some(self, count: int) -> "Places":
        """At most `count` of them, evenly spread."""
        chosen = torch.linspace(0, len(self) - 1, min(count, len(self))).round().long()
        return Places(self.features[chosen], self.zyx_mm[chosen])


@dataclass(frozen=True)
class Suggestion:
    """Scans worth labelling.

    Attributes:
        chosen: indices of the scans, the best first; each next one adds most to those before it.
        agreement: (N,) of each scan with the others on average, 0..1.
    """

    chosen: tuple[int, ...]
    agreement: npt.NDArray[np.float64]


def suggest(scans: Iterable[Volume], weights: Weights, *, k: int = 1, device: torch.device) -> Suggestion:
    """Choose scans to label, so that the others are segmented best from them.

    Args:
        scans: of one part of the body, in any orientation; read one after another, none is kept.
        weights: network and normalisation.
        k: how many to choose.
        device: where the network runs.

    Raises:
        ConfigError: k below 1 or no fewer than the scans.
        InputError: a constant scan.
    """
    encoder: ScanEncoder | None = None
    places = []
    for scan in scans:
        require_contrast(scan, "the scan")
        encoder = encoder or ScanEncoder(weights, device, [scan])
        places.append(places_of(encoder, scan))
    if not 1 <= k < len(places):
        raise ConfigError(f"{k} of {len(places)} scans", "choose at least one, and fewer than there are")
    others = np.unique(np.linspace(0, len(places) - 1, min(REFERENCES, len(places))).round().astype(np.int64))
    held = agreements(places, others.tolist())
    return choose(held, others, k)


def choose(held: npt.NDArray[np.float64], references: npt.NDArray[np.int64], k: int) -> Suggestion:
    """Choose k scans by how they serve the references (R,), as `agreements` gives it (N, R)."""
    agreement = _without_itself(held, references)
    # An odd scan covers what no other does: itself. So it must be as typical as most to be chosen.
    typical = np.argsort(-agreement, kind="stable")[: max(k, (len(held) + 1) // 2)]
    return Suggestion(tuple(int(typical[i]) for i in cover(held[typical], k)), agreement)


def places_of(encoder: ScanEncoder, scan: Volume) -> Places:
    """The places of a scan's body; all of the scan if there is no body in it."""
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
    return Places(rearrange(cells, "n c h w -> n h w c")[inside].half(), where[inside])


def agreements(places: list[Places], references: list[int]) -> npt.NDArray[np.float64]:
    """How well scans serve each other: (N, R) shares, 1 of a scan with itself."""
    some = [one.some(ASKED) for one in places]
    held = np.ones((len(places), len(references)))
    for i, here in enumerate(places):
        for j, reference in enumerate(references):
            if i != reference:
                there = places[reference]
                held[i, j] = (_agreement(some[i], there) + _agreement(some[reference], here)) / 2
    return held


def _agreement(asking: Places, asked: Places) -> float:
    """Share of places whose like lies where the common move along the slice axis puts it."""
    similar = asking.features.float() @ asked.features.float().T
    apart = (asking.zyx_mm[:, None, 1:] - asked.zyx_mm[None, :, 1:]).abs().amax(dim=-1)
    found = similar.masked_fill_(apart > REACH_MM, -1.0).argmax(dim=1)
    moved = asked.zyx_mm[found, 0] - asking.zyx_mm[:, 0]
    return float(((moved - moved.median()).abs() <= AGREED_MM).double().mean())


def cover(held: npt.NDArray[np.float64], k: int) -> tuple[int, ...]:
    """Choose one after another whatever raises most the sum of each reference's best agreement with a chosen one.

    [Greedy facility location: Nemhauser, Wolsey and Fisher, Math. Programming 14 (1978) 265]

    Args:
        held: (N, R), as `agreements` gives it.
        k: how many of the N.
    """
    chosen: list[int] = []
    covered = np.zeros(held.shape[1])
    for _ in range(k):
        gain = np.maximum(held, covered).sum(axis=1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        covered = np.maximum(covered, held[chosen[-1]])
    return tuple(chosen)


def _without_itself(held: npt.NDArray[np.float64], references: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean over the references (N,), a scan's agreement with itself left out."""
    own = np.arange(len(held))[:, None] == references
    mean: npt.NDArray[np.float64] = np.where(own, 0.0, held).sum(axis=1) / np.maximum((~own).sum(axis=1), 1)
    return mean
