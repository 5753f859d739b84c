"""`Segmenter`: numpy and physical space outside, tensors inside.

Support and query reach the network at the same mm per pixel, padded and never squeezed. Until blind matching comes,
a query slice is matched with the labelled support slices at the nearest relative position along the slice axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from psmnet.catalog import CT_WINDOW_HU, HU_MINIMUM
from psmnet.checkpoint import Weights, load_weights
from psmnet.data.normalisation import Normalisation
from psmnet.data.preprocess import window
from psmnet.errors import ConfigError, InputError
from psmnet.geometry import Reorientation, align_query, slice_first
from psmnet.inference import BATCH, encode_slices, mask_tensor, match_slices
from psmnet.pixels import PixelGrid
from psmnet.runtime import pick_device
from psmnet.types import Features, Support, concatenate
from psmnet.volume import Array, Volume

NEIGHBOURS = 3  # labelled slices of each support scan that serve a query slice
MARGIN = 0.1  # of a scan's length, beyond the support's organ, within which the query's is looked for
THRESHOLD = 0.5


@dataclass(frozen=True)
class Segmentation:
    """What a query was given.

    Attributes:
        labels: label map on the query's own grid.
        confidence: mean foreground probability over each label's voxels, 0..1; 0 for a label that was not found.
        view: how the stored axes turn to slices first, as the network saw them.
        notes: what a user should know, a line each.
    """

    labels: Volume
    confidence: dict[int, float]
    view: Reorientation
    notes: tuple[str, ...]

    def with_notes(self, notes: Sequence[str]) -> "Segmentation":
        """The same with more notes before its own."""
        return replace(self, notes=(*notes, *self.notes))

    def volumes_ml(self) -> dict[int, float]:
        """Volume of each label in millilitres."""
        voxel_ml = float(np.prod(self.labels.spacing_mm)) / 1000
        return {value: float((self.labels.array_zyx == value).sum()) * voxel_ml for value in self.confidence}


@dataclass(frozen=True)
class _Described:
    """One label in one support scan: its labelled slices, described, and their relative positions (0..1)."""

    support: Support
    positions: npt.NDArray[np.float64]


class Segmenter:
    """Segments scans from labelled ones.

    Args:
        weights: network and normalisation.
        device: where it runs.

    Example:
        >>> segmenter = Segmenter.from_pretrained()                    # doctest: +SKIP
        >>> segmenter.set_support([(image, labels)])                   # doctest: +SKIP
        >>> mask = segmenter.segment(query)                            # doctest: +SKIP
    """

    def __init__(self, weights: Weights, device: torch.device) -> None:
        self.weights = weights
        self.device = device
        self.model: Any = weights.model.to(device)
        self._described: dict[int, list[_Described]] = {}
        self._frame: Volume | None = None
        self._pixel_mm = 0.0

    @classmethod
    def from_pretrained(cls, device: str = "auto") -> Self:
        """With the weights that the package ships."""
        return cls(load_weights("bundled"), pick_device(device))

    @classmethod
    def from_checkpoint(cls, source: str | Path, device: str = "auto") -> Self:
        """With the weights of a run's folder or a file."""
        return cls(load_weights(source), pick_device(device))

    @property
    def label_values(self) -> tuple[int, ...]:
        """Label values that queries will be given."""
        return tuple(self._described)

    def set_support(self, supports: Sequence[tuple[Volume, Volume]], labels: Sequence[int] | None = None) -> None:
        """Encode and describe labelled scans, once for all queries.

        Args:
            supports: image and label map on one grid, of each labelled scan.
            labels: label values to segment; all that are there by default.

        Raises:
            InputError: no labelled voxel, another grid, or a label value that no support has.
        """
        values = wanted_values(supports, labels)
        first = supports[0][0]
        self._frame = slice_first(first).apply(first)
        # The widest support fills the network's input, whichever comes first: their order must not matter.
        widest_mm = max(_longest_side_mm(self._frame, image) for image, _ in supports)
        self._pixel_mm = widest_mm / self.weights.config.input_size
        self._described = {value: [] for value in values}
        for image, mask in supports:
            self._describe(self._frame, image, mask)

    def segment(self, query: Volume) -> Volume:
        """The label map of a query, on its own grid, with the support's label values."""
        return self.examine(query).labels

    @torch.no_grad()
    def examine(self, query: Volume) -> Segmentation:
        """Segment a query and say how sure that is.

        Raises:
            ConfigError: no support has been set.
        """
        if self._frame is None:
            raise ConfigError("no support has been set", "call set_support first")
        require_contrast(query, "the scan")
        view, notes = align_query(self._frame, query)
        seen = view.apply(query)
        array, more = _intensities(seen.array_zyx, self.weights.normalisation)
        grid = self._grid(seen)
        fill = float(array.min())
        values = list(self._described)
        names = np.array([0, *values], dtype=np.min_scalar_type(max(values)))
        labels = np.zeros(array.shape, dtype=names.dtype)
        total, found = np.zeros(len(names)), np.zeros(len(names), dtype=np.int64)
        # Batch by batch, so that memory grows neither with the scan's length nor with its width.
        usual = self.weights.config.input_size**2
        batch = max(1, BATCH * usual // (grid.padded_yx[0] * grid.padded_yx[1]))
        for start in range(0, len(array), batch):
            numbers = np.arange(start, min(start + batch, len(array)))
            images = grid.to_pixels(torch.from_numpy(array[numbers])[:, None], fill)
            features = encode_slices(self.model, images, self.device)
            winner, best = self._compete(features, (numbers + 0.5) / len(array), grid)
            labels[numbers] = names[winner.numpy()]
            total += np.bincount(winner.flatten().numpy(), best.flatten().numpy(), len(names))
            found += np.bincount(winner.flatten().numpy(), minlength=len(names))
        confidence = {value: float(total[i] / found[i]) if found[i] else 0.0 for i, value in enumerate(values, 1)}
        return Segmentation(query.with_array(view.undo(labels)), confidence, view, (*notes, *more))

    def _compete(
        self, features: Features, positions: npt.NDArray[np.float64], grid: PixelGrid
    ) -> tuple[Tensor, Tensor]:
        """Let the labels compete for each voxel of some query slices.

        Returns:
            rank of the winning label (0 for background), and its probability, each (N, Y, X).
        """
        best = torch.full((len(positions), *grid.stored_yx), THRESHOLD)
        winner = torch.zeros(best.shape, dtype=torch.int64)
        for rank, described in enumerate(self._described.values(), 1):
            rows, support = _serving(described, positions)
            chosen = features[torch.from_numpy(rows).to(self.device)]
            for chunk, margin in match_slices(self.model, chosen, support, torch.arange(len(rows))):
                probability = grid.to_stored(margin).sigmoid()[:, 0].cpu()
                at = torch.from_numpy(rows[chunk])
                wins = probability > best[at]
                winner[at] = torch.where(wins, rank, winner[at])
                best[at] = torch.where(wins, probability, best[at])
        return winner, best

    @torch.no_grad()
    def _describe(self, frame: Volume, image: Volume, mask: Volume) -> None:
        """Add a labelled scan: encode its labelled slices once, describe each label in them."""
        view, _ = align_query(frame, image)
        seen, labels = view.apply(image), view.apply_array(mask.array_zyx)
        labelled = np.flatnonzero(np.isin(labels, list(self._described)).any(axis=(1, 2)))
        if len(labelled) == 0:
            return
        array, _ = _intensities(seen.array_zyx, self.weights.normalisation)
        grid = self._grid(seen)
        images = grid.to_pixels(torch.from_numpy(array[labelled])[:, None], float(array.min()))
        features = encode_slices(self.model, images, self.device)
        for value, known in self._described.items():
            has = np.flatnonzero((labels[labelled] == value).any(axis=(1, 2)))
            if len(has):
                masks = grid.to_pixels(mask_tensor(labels[labelled[has]], [value]), 0.0).to(self.device)
                support = self.model.describe(features[torch.from_numpy(has).to(self.device)], masks)
                known.append(_Described(support, (labelled[has] + 0.5) / len(labels)))

    def _grid(self, seen: Volume) -> PixelGrid:
        """The network's pixels for a scan with its slices first."""
        _, height, width = seen.array_zyx.shape
        x_mm, y_mm, _ = seen.spacing_mm
        size, multiple = self.weights.config.input_size, int(self.model.encoder.multiple)
        return PixelGrid.of((height, width), (y_mm, x_mm), self._pixel_mm, size, multiple)


def _serving(
    described: Sequence[_Described], positions: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], Support]:
    """Which query slices at these relative positions may hold a label, and a support for each of those.

    A query slice is served by the nearest labelled slices of every support scan.
    """
    first = min(float(scan.positions[0]) for scan in described) - MARGIN
    last = max(float(scan.positions[-1]) for scan in described) + MARGIN
    rows = np.flatnonzero((positions >= first) & (positions <= last))
    supports = []
    for scan in described:
        distance = np.abs(positions[rows, None] - scan.positions)
        count = min(NEIGHBOURS, len(scan.positions))
        nearest = np.argsort(distance, axis=1, kind="stable")[:, :count]
        supports.append(scan.support.select(torch.from_numpy(nearest.ravel())).join(count))
    return rows, concatenate(supports)


def wanted_values(supports: Sequence[tuple[Volume, Volume]], labels: Sequence[int] | None) -> list[int]:
    """The label values to segment, ascending, of supports that can be used.

    Args:
        supports: image and label map of each labelled scan.
        labels: values asked for; None or none for all that are there.

    Raises:
        ConfigError: no support.
        InputError: no labelled voxel, another grid, no contrast, or a label value that no support has.
    """
    if not supports:
        raise ConfigError("no support scan", "give at least one labelled scan")
    for image, mask in supports:
        if image.array_zyx.shape != mask.array_zyx.shape:
            raise InputError(
                f"support labels {mask.array_zyx.shape} on an image of {image.array_zyx.shape}", "use one grid"
            )
        require_contrast(image, "the support")
        if mask.array_zyx.all():
            raise InputError(
                "the support mask has no background: every voxel is labelled", "give 0 to what is no organ"
            )
    present = sorted({int(value) for _, mask in supports for value in np.unique(mask.array_zyx)} - {0})
    if not present:
        raise InputError("the support mask is empty", "label at least one voxel, or give another support")
    for value in labels or ():
        if value not in present:
            raise InputError(f"label {value} is not in the support", f"give some of {', '.join(map(str, present))}")
    return sorted(set(labels or present))


def require_contrast(volume: Volume, what: str) -> None:
    """Refuse a constant scan."""
    low, high = volume.array_zyx.min(), volume.array_zyx.max()
    if low == high:
        raise InputError(f"{what} is constant: every voxel is {low:g}", "give a scan that shows something")


def _longest_side_mm(frame: Volume, image: Volume) -> float:
    """Of a scan's slices, cut as the frame's."""
    view, _ = align_query(frame, image)
    return max(image.spacing_mm[axis] * image.size_xyz[axis] for axis in view.axes[:2])


def windowed(array: Array) -> tuple[Array, tuple[str, ...]]:
    """Soft tissue of a scan in Hounsfield units, and a note that says so; any other scan as it is."""
    if array.min() > HU_MINIMUM:
        return array, ()
    low, high = CT_WINDOW_HU
    note = f"taken as CT: the minimum is {array.min():g}, so intensities are windowed to {low:g}..{high:g} HU"
    return window(array, CT_WINDOW_HU), (note,)


def _intensities(array: Array, normalisation: Normalisation) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """Normalised intensities; a scan in Hounsfield units is windowed first, as the weights' training was."""
    seen, notes = windowed(array)
    return normalisation.apply(seen), notes
