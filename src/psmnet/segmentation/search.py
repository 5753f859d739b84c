"""Plans in which query slices, and where in them, each label is searched, and which labelled slices serve there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from psmnet.models import Support, concatenate
from psmnet.segmentation.localise import CoarseScan, OrganLocation, locate
from psmnet.segmentation.slice_positions import SlicePosition

NEIGHBOURS = 3  # labelled slices of each support scan that serve a query slice
WINDOW_MM = 25.0  # margin around an organ's located outline in which it is searched


@dataclass(frozen=True)
class Organ:
    """One label in one support scan.

    Attributes:
        support: its labelled slices as the method describes them.
        slices: their numbers in the scan, ascending.
        outline: (H, W) at the network's pixels, the union over all slices.
        cells: (n, h, w), share of each coarse cell that it fills.
        parts: number of connected parts.
        scan: number of the scan, in the order given.
        positions: of its slices, for reports.
    """

    support: Support
    slices: npt.NDArray[np.int64]
    outline: npt.NDArray[np.bool_]
    cells: Tensor
    parts: int
    scan: int
    positions: tuple[SlicePosition, ...]


@dataclass(frozen=True)
class DescribedScan:
    """An encoded support scan: coarse features, and its organs by label value."""

    coarse: CoarseScan
    organs: dict[int, Organ]


@dataclass(frozen=True)
class Search:
    """Where one label is searched in a query, and what serves it there.

    Attributes:
        slices: (S,), the query slices, ascending.
        served: for each support scan with the label: the organ, and the indices (S, m) of its slices that serve.
        window: (H, W) bool at the network's pixels, where the label may be.
        rows, columns: bounding box of the window, rounded outwards to the encoder's multiple.
    """

    slices: npt.NDArray[np.int64]
    served: tuple[tuple[Organ, npt.NDArray[np.int64]], ...]
    window: npt.NDArray[np.bool_]
    rows: slice
    columns: slice

    @property
    def parts(self) -> int:
        """Largest number of connected parts that the label has in a support scan."""
        return max(organ.parts for organ, _ in self.served)

    def support(self, chosen: npt.NDArray[np.int64]) -> Support:
        """The support of each slice with an index `chosen` in `slices`."""
        return concatenate(
            [
                organ.support.select(torch.from_numpy(numbers[chosen].ravel())).join(numbers.shape[1])
                for organ, numbers in self.served
            ]
        )


def plan_searches(
    scans: Sequence[DescribedScan], query: CoarseScan, size: tuple[int, int], multiple: int
) -> dict[int, Search]:
    """Locate every label of the support scans in a query.

    Args:
        scans: encoded support scans.
        query: coarse features of the scan to search.
        size: (H, W) of its slices at the network's pixels.
        multiple: pixels to whose multiples bounding boxes are rounded outwards.

    Returns:
        the search of each label that could be located, by label value.
    """
    found: dict[int, list[tuple[DescribedScan, Organ, OrganLocation]]] = {}
    for scan in scans:
        masks = torch.stack([organ.cells for organ in scan.organs.values()], dim=1)
        for (value, organ), location in zip(scan.organs.items(), locate(scan.coarse, masks, query), strict=True):
            found.setdefault(value, []).append((scan, organ, location))
    searches = {value: _search(locations, query, size, multiple) for value, locations in sorted(found.items())}
    return {value: search for value, search in searches.items() if search is not None}


def _search(
    locations: Sequence[tuple[DescribedScan, Organ, OrganLocation]],
    query: CoarseScan,
    size: tuple[int, int],
    multiple: int,
) -> Search | None:
    centres_mm = (np.arange(len(query.cells)) + 0.5) * query.slice_mm
    edges_mm = [
        (
            organ.slices[0] * scan.coarse.slice_mm + location.shift_mm,
            (organ.slices[-1] + 1) * scan.coarse.slice_mm + location.shift_mm,
        )
        for scan, organ, location in locations
    ]
    first_mm, last_mm = np.median(edges_mm, axis=0)
    slices = np.flatnonzero((centres_mm >= first_mm) & (centres_mm <= last_mm))
    if len(slices) == 0:  # thinner than the query's slices
        slices = np.array([np.abs(centres_mm - (first_mm + last_mm) / 2).argmin()])
    served = []
    window = np.zeros(size, dtype=bool)
    for scan, organ, location in locations:
        labelled_mm = (organ.slices + 0.5) * scan.coarse.slice_mm + location.shift_mm
        distance = np.abs(centres_mm[slices, None] - labelled_mm)
        served.append((organ, np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]))
        window |= _moved(organ.outline, location.shift_yx_px, size)
    if not window.any():
        return None
    window = ndimage.distance_transform_edt(~window) * query.pixel_mm <= WINDOW_MM
    (box,) = ndimage.find_objects(window.view(np.uint8))
    rows, columns = (slice(side.start // multiple * multiple, -(-side.stop // multiple) * multiple) for side in box)
    return Search(slices, tuple(served), window, rows, columns)


def _moved(outline: npt.NDArray[np.bool_], shift_yx: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Shift an outline, from centre to centre, onto slices of another size; what falls outside is lost."""
    moved = np.zeros(size, dtype=bool)
    ys, xs = np.nonzero(outline)
    ys = ys + shift_yx[0] + (size[0] - outline.shape[0]) // 2
    xs = xs + shift_yx[1] + (size[1] - outline.shape[1]) // 2
    inside = (ys >= 0) & (ys < size[0]) & (xs >= 0) & (xs < size[1])
    moved[ys[inside], xs[inside]] = True
    return moved
