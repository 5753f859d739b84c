"""Encodes scans in one orientation and at one pixel size, each slice once."""

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
    """A scan as the network sees it.

    Attributes:
        turn: reorientation from the stored axes to slices first.
        notes: remarks on that for the user.
        seen: the reoriented scan.
        grid: the network's pixels on its slices.
        batches: slices that are processed together, in order.
    """

    turn: Reorientation
    notes: tuple[str, ...]
    seen: Volume
    grid: PixelGrid
    batches: tuple[slice, ...]


class ScanEncoder:
    """Encodes scans whose features are compared.

    The first scan determines the axes. The widest scan fills the network's input and so determines the pixel size,
    which does not depend on the order of the scans.

    Args:
        weights: network and normalisation.
        device: where it runs.
        scans: scans that determine axes and pixel size.
        precision: of the encoder, see `Segmenter`.
    """

    def __init__(
        self, weights: Weights, device: torch.device, scans: Sequence[Volume], precision: str = "float32"
    ) -> None:
        self._weights = weights
        self._device = device
        self.model: Any = weights.model.to(device)
        self._half = precision == "bfloat16"
        if self._half:  # up to a quarter faster in bfloat16, no faster in single precision
            encoder: Any = self.model.encoder
            encoder.to(memory_format=torch.channels_last)
        self._frame = slice_first(scans[0]).apply(scans[0])
        self._pixel_mm = max(_longest_side_mm(self._frame, scan) for scan in scans) / weights.config.input_size

    @property
    def multiple(self) -> int:
        """Pixels of which the sides of an image must be multiples."""
        return int(self.model.encoder.multiple)

    def view(self, scan: Volume) -> View:
        """A scan as the network sees it."""
        turn, notes = align_query(self._frame, scan)
        seen = turn.apply(scan)
        count, height, width = seen.array_zyx.shape
        x_mm, y_mm, _ = seen.spacing_mm
        size = self._weights.config.input_size
        grid = PixelGrid.of((height, width), (y_mm, x_mm), self._pixel_mm, size, self.multiple)
        padded_height, padded_width = grid.padded_yx
        # Fewer slices where they are wider, so that memory does not grow with their width.
        step = max(1, BATCH * size**2 // (padded_height * padded_width))
        batches = tuple(slice(start, min(start + step, count)) for start in range(0, count, step))
        return View(turn, tuple(notes), seen, grid, batches)

    def encode(self, view: View, report: Callable[[int], None] = lambda done: None) -> tuple[Features, CoarseScan]:
        """Encode every slice: features in half precision, and coarse features.

        Args:
            view: the scan.
            report: called with the number of finished batches.
        """
        kept: Features | None = None
        cells: list[CoarseScan] = []
        for batch, features, coarse in self._encoded(view):
            kept = kept or features.half().room_for(
                len(view.seen.array_zyx)
            )  # concatenating at the end would need twice the memory
            kept.put(batch, features)
            cells.append(coarse)
            report(len(cells))
        assert kept is not None
        return kept, _joined(cells)

    def coarse(self, view: View) -> CoarseScan:
        """Only the coarse features."""
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
    """Longest side of a scan's slices, with the axes of `frame`."""
    view, _ = align_query(frame, image)
    return max(image.spacing_mm[axis] * image.size_xyz[axis] for axis in view.axes[:2])
