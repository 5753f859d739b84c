"""`Segmenter`: numpy and physical space outside, tensors inside.

Support and query reach the network at the same mm per pixel, padded and never squeezed. Each organ is located in the
query first, then matched there alone, slice by slice, with the support's slices of the same height (`search`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from psmnet.catalog import CT_WINDOW_HU, HU_MINIMUM
from psmnet.checkpoint import Weights, load_weights
from psmnet.cleanup import keep_largest_parts, parts
from psmnet.data.normalisation import Normalisation, histogram
from psmnet.data.preprocess import window
from psmnet.errors import ConfigError, InputError
from psmnet.geometry import Reorientation, align_query, slice_first
from psmnet.inference import BATCH, encode_slices, mask_tensor, match_slices
from psmnet.localisation import CoarseScan
from psmnet.pixels import PixelGrid
from psmnet.runtime import pick_device
from psmnet.search import LabelledScan, Organ, Search, plan
from psmnet.types import Features
from psmnet.volume import Array, Volume

THRESHOLD = 0.5
NOWHERE = -40.0  # logit outside the window: the lowest that scores can differ by
LEVELS = 255  # of a probability kept in 8 bits
EVEN = LEVELS // 2


@dataclass(frozen=True)
class Segmentation:
    """What a query was given.

    Attributes:
        labels: label map on the query's own grid.
        confidence: mean foreground probability over each label's voxels, 0..1; 0 for a label that was not found.
        view: how the stored axes turn to slices first, as the network saw them.
        notes: what a user should know, a line each.
        foreground: highest probability of any label in each voxel, as 0..LEVELS; 0 where none was looked for, a half
            where clean-up overruled it. None from a method that has none.
        probabilities: of each label, alike, before labels compete and clean-up; empty unless asked for.
    """

    labels: Volume
    confidence: dict[int, float]
    view: Reorientation
    notes: tuple[str, ...]
    foreground: npt.NDArray[np.uint8] | None = None
    probabilities: Mapping[int, npt.NDArray[np.uint8]] = field(default_factory=dict)

    def with_notes(self, notes: Sequence[str]) -> "Segmentation":
        """The same with more notes before its own."""
        return replace(self, notes=(*notes, *self.notes))

    def probability(self, value: int) -> Volume:
        """Of a label in each voxel, 0..1."""
        return self._of_levels(self.probabilities[value])

    def uncertainty(self) -> Volume:
        """0 where the decision for or against any label was clear, 1 where it was even: 1 - |2 p - 1|."""
        assert self.foreground is not None
        p = self._of_levels(self.foreground)
        return p.with_array(1 - np.abs(2 * p.array_zyx - 1))

    def _of_levels(self, levels: npt.NDArray[np.uint8]) -> Volume:
        return self.labels.with_array(levels.astype(np.float32) / LEVELS)

    def volumes_ml(self) -> dict[int, float]:
        """Volume of each label in millilitres."""
        voxel_ml = float(np.prod(self.labels.spacing_mm)) / 1000
        return {value: float((self.labels.array_zyx == value).sum()) * voxel_ml for value in self.confidence}


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
        self._values: list[int] = []
        self._scans: list[LabelledScan] = []
        self._frame: Volume | None = None
        self._pixel_mm = 0.0
        self._ct: frozenset[bool] = frozenset()

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
        return tuple(self._values)

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
        self._values = values
        self._ct = frozenset(is_ct(image.array_zyx) for image, _ in supports)
        scans = [self._describe(self._frame, image, mask) for image, mask in supports]
        self._scans = [scan for scan in scans if scan.organs]

    def segment(self, query: Volume) -> Volume:
        """The label map of a query, on its own grid, with the support's label values."""
        return self.examine(query).labels

    @torch.no_grad()
    def examine(self, query: Volume, *, probabilities: bool = False) -> Segmentation:
        """Segment a query and say how sure that is.

        Args:
            query: a scan.
            probabilities: keep each label's, too: a byte a voxel and label.

        Raises:
            ConfigError: no support has been set.
        """
        if self._frame is None:
            raise ConfigError("no support has been set", "call set_support first")
        require_contrast(query, "the scan")
        view, notes = align_query(self._frame, query)
        notes += unlike(self._ct, query.array_zyx)
        seen = view.apply(query)
        grid = self._grid(seen)
        features, coarse = self._encode(seen, grid)
        searches = plan(self._scans, coarse, grid.padded_yx, self._multiple)
        values = np.array([0, *self._values], dtype=np.min_scalar_type(max(self._values)))
        ranks = np.zeros(seen.array_zyx.shape, dtype=np.min_scalar_type(len(self._values)))
        foreground = np.zeros(ranks.shape, dtype=np.uint8)
        each = {value: np.zeros_like(foreground) for value in self._values if probabilities}
        for batch in self._batches(len(ranks), grid):
            winner, best = self._compete(
                features[batch].float(), batch, searches, grid, {value: levels[batch] for value, levels in each.items()}
            )
            ranks[batch] = winner.numpy()
            foreground[batch] = _levels(best)
        keep_largest_parts(ranks, {1 + self._values.index(value): search.parts for value, search in searches.items()})
        confidence = dict(zip(self._values, _confidence(ranks, foreground, len(self._values)), strict=True))
        np.minimum(foreground, EVEN, out=foreground, where=ranks == 0)
        return Segmentation(
            query.with_array(view.undo(values[ranks])),
            confidence,
            view,
            (*notes, *taken_as_ct(query.array_zyx)),
            view.undo(foreground),
            {value: view.undo(levels) for value, levels in each.items()},
        )

    def _compete(
        self,
        features: Features,
        batch: slice,
        searches: Mapping[int, Search],
        grid: PixelGrid,
        each: Mapping[int, npt.NDArray[np.uint8]],
    ) -> tuple[Tensor, Tensor]:
        """Let the labels compete for each voxel of some query slices.

        Args:
            features, batch: of the slices, and their numbers.
            searches: by label value.
            grid: their pixels.
            each: label value to where its probabilities go, (N, Y, X).

        Returns:
            rank of the winning label (0 for background), and the highest probability, each (N, Y, X).
        """
        numbers = np.arange(batch.start, batch.stop)
        best = torch.zeros((len(numbers), *grid.stored_yx))
        winner = torch.zeros(best.shape, dtype=torch.int64)
        for value, search in searches.items():
            _, rows, chosen = np.intersect1d(numbers, search.slices, return_indices=True)
            if len(rows) == 0:
                continue
            part = features[torch.from_numpy(rows).to(self.device)].window(search.rows, search.columns, grid.padded_yx)
            outside = torch.from_numpy(~search.window[search.rows, search.columns]).to(self.device)
            support = search.support(chosen)
            for chunk, margin in match_slices(self.model, part, support, torch.arange(len(rows))):
                whole = margin.new_full((len(margin), 1, *grid.padded_yx), NOWHERE)
                whole[..., search.rows, search.columns] = margin.masked_fill(outside, NOWHERE)
                probability = grid.to_stored(whole).sigmoid()[:, 0].cpu()
                at = torch.from_numpy(rows[chunk])
                wins = probability > best[at]
                if value in each:
                    each[value][rows[chunk]] = _levels(probability)
                winner[at] = torch.where(wins & (probability > THRESHOLD), 1 + self._values.index(value), winner[at])
                best[at] = torch.where(wins, probability, best[at])
        return winner, best

    def _describe(self, frame: Volume, image: Volume, mask: Volume) -> LabelledScan:
        """A labelled scan: each slice encoded once, each label described in its slices."""
        view, _ = align_query(frame, image)
        seen, labels = view.apply(image), view.apply_array(mask.array_zyx)
        grid = self._grid(seen)
        features, coarse = self._encode(seen, grid)
        organs = {}
        for value in self._values:
            inside = labels == value
            slices = np.flatnonzero(inside.any(axis=(1, 2)))
            if len(slices) == 0:
                continue
            shown = torch.from_numpy(slices)
            masks = grid.to_pixels(mask_tensor(labels[slices], [value]), 0.0)
            with torch.no_grad():
                support = self.model.describe(features[shown.to(self.device)].float(), masks.to(self.device))
            outline = (masks > 0).any(dim=0)[0].numpy()
            shares = coarse.masks(masks)[:, 0]
            cells = shares.new_zeros(len(labels), *shares.shape[1:]).index_copy(0, shown, shares)
            organs[value] = Organ(support, slices, outline, cells, parts(inside))
        return LabelledScan(coarse, organs)

    def _encode(self, seen: Volume, grid: PixelGrid) -> tuple[Features, CoarseScan]:
        """Every slice of a scan once: features in half precision, and coarse ones."""
        normalised = _normaliser(seen.array_zyx, self.weights.normalisation)
        fill = float(normalised(seen.array_zyx.min(keepdims=True)).item())
        count = len(seen.array_zyx)
        kept: Features | None = None
        cells: list[CoarseScan] = []
        for batch in self._batches(count, grid):
            images = grid.to_pixels(torch.from_numpy(normalised(seen.array_zyx[batch]))[:, None], fill)
            features = encode_slices(self.model, images, self.device)
            stride = grid.padded_yx[0] // features.maps[0].shape[-2]
            cells.append(CoarseScan.of(features.maps[0], stride, seen.spacing_mm[2], self._pixel_mm))
            kept = kept or features.half().room_for(count)  # joined in the end, they would be there twice
            kept.put(batch, features)
        assert kept is not None
        return kept, replace(cells[0], cells=torch.cat([c.cells for c in cells]))

    def _batches(self, slices: int, grid: PixelGrid) -> list[slice]:
        """Some slices at a time: the wider, the fewer, so that memory doesn't grow with their width."""
        height, width = grid.padded_yx
        size = max(1, BATCH * self.weights.config.input_size**2 // (height * width))
        return [slice(start, min(start + size, slices)) for start in range(0, slices, size)]

    @property
    def _multiple(self) -> int:
        return int(self.model.encoder.multiple)

    def _grid(self, seen: Volume) -> PixelGrid:
        """The network's pixels for a scan with its slices first."""
        _, height, width = seen.array_zyx.shape
        x_mm, y_mm, _ = seen.spacing_mm
        size = self.weights.config.input_size
        return PixelGrid.of((height, width), (y_mm, x_mm), self._pixel_mm, size, self._multiple)


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


def is_ct(array: Array) -> bool:
    """Whether a scan is taken as CT: no other reaches as low as Hounsfield units do."""
    return bool(array.min() <= HU_MINIMUM)


def unlike(supports_ct: Collection[bool], query: Array) -> list[str]:
    """A note if the query is CT and no support is, or the other way round."""
    found = is_ct(query)
    if found in supports_ct:
        return []
    return [f"this scan is {'CT' if found else 'no CT'}, unlike the labelled ones: look closely at what was found"]


def windowed(array: Array) -> Array:
    """Soft tissue of a scan in Hounsfield units, as the weights' training was; any other scan as it is."""
    return window(array, CT_WINDOW_HU) if is_ct(array) else array


def taken_as_ct(array: Array) -> tuple[str, ...]:
    """A note that says so of a scan that is."""
    if not is_ct(array):
        return ()
    low, high = CT_WINDOW_HU
    return (f"taken as CT: the minimum is {array.min():g}, so intensities are windowed to {low:g}..{high:g} HU",)


def _normaliser(array: Array, normalisation: Normalisation) -> Callable[[Array], npt.NDArray[np.float32]]:
    """What normalises parts of a scan by the statistics of all of it; of 16 bits, it is never copied whole."""
    ct = is_ct(array)

    def seen(part: Array) -> Array:
        return window(part, CT_WINDOW_HU) if ct else part

    found = histogram(array)
    scale = normalisation.scale(seen(array)) if found is None else normalisation.scale(seen(found[0]), found[1])
    return lambda part: scale.apply(seen(part))


def _levels(probability: Tensor) -> npt.NDArray[np.uint8]:
    levels: npt.NDArray[np.uint8] = (probability * LEVELS).round().to(torch.uint8).numpy()
    return levels


def _confidence(ranks: Array, certainty: npt.NDArray[np.uint8], organs: int) -> list[float]:
    """Mean probability over the voxels of ranks 1 to `organs`; 0 for one that is not there."""
    total, found = np.zeros(organs + 1), np.zeros(organs + 1, dtype=np.int64)
    for seen, sure in zip(ranks, certainty, strict=True):  # slice by slice: counting takes eight times their room
        total += np.bincount(seen.ravel(), sure.ravel(), organs + 1)
        found += np.bincount(seen.ravel(), minlength=organs + 1)
    return [float(t / (LEVELS * n)) if n else 0.0 for t, n in zip(total[1:], found[1:], strict=True)]
