"""Scans as the network sees them: turned alike, at one size of pixels, each slice encoded once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from psmnet.models import Features, Weights
from psmnet.segmentation.inference import BATCH, encode_slices
from psmnet.segmentation.localise import CoarseScan
from psmnet.segmentation.modality import normaliser
from psmnet.volume import PixelGrid, Reorientation, Volume, align_query, slice_first

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class View:
    """How the network sees a scan.

    Attributes:
        turn: how the stored axes turn to slices first.
        notes: what a user should know of that.
        seen: the scan, turned.
        grid: the network's pixels on its slices.
        batches: slices that are worked on at a time, in order.
    """

    turn: Reorientation
    notes: tuple[str, ...]
    seen: Volume
    grid: PixelGrid
    batches: tuple[slice, ...]


class ScanEncoder:
    """Encodes scans whose features are to be compared.

    The first scan sets the axes; the widest fills the network's input, whichever comes first: their order must not
    matter.

    Args:
        weights: network and normalisation.
        device: where it runs.
        scans: those that set axes and size of pixels.
        precision: of the encoder, see `Segmenter`.
    """

    def __init__(
        self, weights: Weights, device: torch.device, scans: Sequence[Volume], precision: str = "float32"
    ) -> None:
        self._weights = weights
        self._device = device
        self.model: Any = weights.model.to(device)
        self._half = precision == "bfloat16"
        if self._half:  # bfloat16 gains up to a quarter by it, single precision next to nothing
            encoder: Any = self.model.encoder
            encoder.to(memory_format=torch.channels_last)
        self._frame = slice_first(scans[0]).apply(scans[0])
        self._pixel_mm = max(_longest_side_mm(self._frame, scan) for scan in scans) / weights.config.input_size

    @property
    def multiple(self) -> int:
        """What the sides of an image must be multiples of."""
        return int(self.model.encoder.multiple)

    def view(self, scan: Volume) -> View:
        """How the network sees a scan."""
        turn, notes = align_query(self._frame, scan)
        seen = turn.apply(scan)
        count, height, width = seen.array_zyx.shape
        x_mm, y_mm, _ = seen.spacing_mm
        size = self._weights.config.input_size
        grid = PixelGrid.of((height, width), (y_mm, x_mm), self._pixel_mm, size, self.multiple)
        padded_height, padded_width = grid.padded_yx
        # The wider, the fewer, so that memory doesn't grow with their width.
        step = max(1, BATCH * size**2 // (padded_height * padded_width))
        batches = tuple(slice(start, min(start + step, count)) for start in range(0, count, step))
        return View(turn, tuple(notes), seen, grid, batches)

    def encode(self, view: View, report: Callable[[int], None] = lambda done: None) -> tuple[Features, CoarseScan]:
        """Every slice once: features in half precision, and coarse ones; `report` is told how many batches are done."""
        kept: Features | None = None
        cells: list[CoarseScan] = []
        for batch, features, coarse in self._encoded(view):
            kept = kept or features.half().room_for(len(view.seen.array_zyx))  # joined in the end: there twice
            kept.put(batch, features)
            cells.append(coarse)
            report(len(cells))
        assert kept is not None
        return kept, _joined(cells)

    def coarse(self, view: View) -> CoarseScan:
        """Coarse features alone."""
        return _joined([coarse for _, _, coarse in self._encoded(view)])

    def _encoded(self, view: View) -> Iterator[tuple[slice, Features, CoarseScan]]:
        array, grid = view.seen.array_zyx, view.grid
        normalised = normaliser(array, self._weights.normalisation)
        fill = float(normalised(array.min(keepdims=True)).item())
        for batch in view.batches:
            images = grid.to_pixels(torch.from_numpy(normalised(array[batch]))[:, None], fill)
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
                features = encode_slices(self.model, images, self._device).float()
            stride = grid.padded_yx[0] // features.maps[0].shape[-2]
            yield batch, features, CoarseScan.of(features.maps[0], stride, view.seen.spacing_mm[2], self._pixel_mm)


def _joined(cells: Sequence[CoarseScan]) -> CoarseScan:
    return replace(cells[0], cells=torch.cat([c.cells for c in cells]))


def _longest_side_mm(frame: Volume, image: Volume) -> float:
    """Of a scan's slices, cut as the frame's."""
    view, _ = align_query(frame, image)
    return max(image.spacing_mm[axis] * image.size_xyz[axis] for axis in view.axes[:2])
