"""From places to a plan: in which slices of a query, and where in them, each label is looked for, and by what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from psmnet.models import Support, concatenate
from psmnet.segmentation.localise import CoarseScan, Place, locate
from psmnet.segmentation.slice_positions import SlicePlace

NEIGHBOURS = 3  # labelled slices of each support scan that serve a query slice
WINDOW_MM = 25.0  # around an organ's outline, as located, within which it is looked for


@dataclass(frozen=True)
class Organ:
    """One label in one support scan.

    Attributes:
        support: its labelled slices, described.
        slices: their numbers in the scan, ascending.
        outline: (H, W) at the network's pixels, all slices together.
        cells: (n, h, w), share of each coarse cell that it fills.
        parts: how many it consists of.
        scan: number of the scan, in the order given.
        places: of its slices, to be told of.
    """

    support: Support
    slices: npt.NDArray[np.int64]
    outline: npt.NDArray[np.bool_]
    cells: Tensor
    parts: int
    scan: int
    places: tuple[SlicePlace, ...]


@dataclass(frozen=True)
class LabelledScan:
    """A support scan as queries meet it: coarse features, and the organs by label value."""

    coarse: CoarseScan
    organs: dict[int, Organ]


@dataclass(frozen=True)
class Search:
    """Where one label is looked for in a query, and what serves it there.

    Attributes:
        slices: (S,) numbers of the query's slices, ascending; maybe none.
        served: for each scan that shows the label: the organ, and which of its described slices serve, (S, m).
        window: (H, W) at the query's network pixels: where the label may be.
        rows, columns: the window's box, on the encoder's multiple.
    """

    slices: npt.NDArray[np.int64]
    served: tuple[tuple[Organ, npt.NDArray[np.int64]], ...]
    window: npt.NDArray[np.bool_]
    rows: slice
    columns: slice

    @property
    def parts(self) -> int:
        """How many parts the label consists of where it has most."""
        return max(organ.parts for organ, _ in self.served)

    def support(self, chosen: npt.NDArray[np.int64]) -> Support:
        """What serves some of the slices, by their place in `slices`: one joined support each."""
        return concatenate(
            [
                organ.support.select(torch.from_numpy(numbers[chosen].ravel())).join(numbers.shape[1])
                for organ, numbers in self.served
            ]
        )


def plan(scans: Sequence[LabelledScan], query: CoarseScan, size: tuple[int, int], multiple: int) -> dict[int, Search]:
    """Locate every label of the support scans in a query.

    Args:
        scans: labelled scans.
        query: coarse features of the scan to search.
        size: (H, W) of its slices at the network's pixels.
        multiple: what boxes are rounded outwards to, in pixels.

    Returns:
        a search for each label that could be located at all.
    """
    found: dict[int, list[tuple[LabelledScan, Organ, Place]]] = {}
    for scan in scans:
        masks = torch.stack([organ.cells for organ in scan.organs.values()], dim=1)
        for (value, organ), place in zip(scan.organs.items(), locate(scan.coarse, masks, query), strict=True):
            found.setdefault(value, []).append((scan, organ, place))
    searches = {value: _search(places, query, size, multiple) for value, places in sorted(found.items())}
    return {value: search for value, search in searches.items() if search is not None}


def _search(
    places: Sequence[tuple[LabelledScan, Organ, Place]], query: CoarseScan, size: tuple[int, int], multiple: int
) -> Search | None:
    centres_mm = (np.arange(len(query.cells)) + 0.5) * query.slice_mm
    edges_mm = [
        (
            organ.slices[0] * scan.coarse.slice_mm + place.shift_mm,
            (organ.slices[-1] + 1) * scan.coarse.slice_mm + place.shift_mm,
        )
        for scan, organ, place in places
    ]
    first_mm, last_mm = np.median(edges_mm, axis=0)
    slices = np.flatnonzero((centres_mm >= first_mm) & (centres_mm <= last_mm))
    if len(slices) == 0:  # thinner than the query's slices
        slices = np.array([np.abs(centres_mm - (first_mm + last_mm) / 2).argmin()])
    served = []
    window = np.zeros(size, dtype=bool)
    for scan, organ, place in places:
        labelled_mm = (organ.slices + 0.5) * scan.coarse.slice_mm + place.shift_mm
        distance = np.abs(centres_mm[slices, None] - labelled_mm)
        served.append((organ, np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]))
        window |= _moved(organ.outline, place.shift_yx_px, size)
    if not window.any():
        return None
    window = ndimage.distance_transform_edt(~window) * query.pixel_mm <= WINDOW_MM
    (box,) = ndimage.find_objects(window.view(np.uint8))
    rows, columns = (slice(side.start // multiple * multiple, -(-side.stop // multiple) * multiple) for side in box)
    return Search(slices, tuple(served), window, rows, columns)


def _moved(outline: npt.NDArray[np.bool_], shift_yx: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """An outline moved, middles laid together, on slices of another size; what leaves them is lost."""
    moved = np.zeros(size, dtype=bool)
    ys, xs = np.nonzero(outline)
    ys = ys + shift_yx[0] + (size[0] - outline.shape[0]) // 2
    xs = xs + shift_yx[1] + (size[1] - outline.shape[1]) // 2
    inside = (ys >= 0) & (ys < size[0]) & (xs >= 0) & (xs < size[1])
    moved[ys[inside], xs[inside]] = True
    return moved
