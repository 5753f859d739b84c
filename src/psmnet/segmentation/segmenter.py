"""`Segmenter`: segments whole scans from labelled ones with a trained network.

Support and query reach the network at the same mm per pixel, padded and never stretched. Each organ is first located
in the query, then matched there slice by slice with the support's slices at the same height (`search`).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from psmnet.errors import ConfigError, require
from psmnet.models import Features, Weights, find_weights, is_learned, load_weights
from psmnet.runtime import pick_device
from psmnet.segmentation.checks import require_contrast, wanted_values
from psmnet.segmentation.cleanup import keep_largest_parts
from psmnet.segmentation.inference import mask_tensor, smoothed_across
from psmnet.segmentation.learned_segmenter import LearnedSegmenter
from psmnet.segmentation.modality import is_ct, modality_notes
from psmnet.segmentation.result import EVEN, Segmentation, levels_of, mean_confidence
from psmnet.segmentation.scan_encoder import PRECISIONS, ScanEncoder, View
from psmnet.segmentation.search import DescribedScan, Organ, Search, plan_searches
from psmnet.segmentation.slice_matches import slice_matches_of
from psmnet.segmentation.slice_positions import organ_positions
from psmnet.volume import PixelGrid, Volume, parts

THRESHOLD = 0.5
NOWHERE = -40.0  # logit outside the window: the lowest possible difference of two scores


class Segmenter:
    """Segments scans from labelled ones.

    Args:
        weights: network and normalisation.
        device: where it runs.
        precision: of the encoder: `float32`, or `bfloat16`, with which the encoder is about twice as fast on processors
            that support it, and a whole scan takes about a fifth to a third less time.

    Raises:
        ConfigError: no such precision.

    Example:
        >>> segmenter = Segmenter.from_pretrained()                    # doctest: +SKIP
        >>> segmenter.set_support([(image, labels)])                   # doctest: +SKIP
        >>> mask = segmenter.segment(query)                            # doctest: +SKIP
    """

    def __init__(self, weights: Weights, device: torch.device, precision: str = "float32") -> None:
        require(precision in PRECISIONS, f"precision {precision!r}", f"give one of {', '.join(PRECISIONS)}")
        self.precision = precision
        self.weights = weights
        self.device = device
        self.model: Any = weights.model.to(device)
        self._values: list[int] = []
        self._scans: list[DescribedScan] = []
        self._encoder: ScanEncoder | None = None
        self._ct: frozenset[bool] = frozenset()

    @classmethod
    def from_pretrained(cls, device: str = "auto") -> Self:
        """With the weights that the package ships."""
        return cls(load_weights("bundled"), pick_device(device))

    @classmethod
    def from_checkpoint(cls, source: str | Path, device: str = "auto") -> "Self | LearnedSegmenter":
        """With the weights of a run's folder or a file. A learned network gives a `LearnedSegmenter`, without support.

        Raises:
            InputError: the weights can't be used.
        """
        if is_learned(find_weights(source)):
            return LearnedSegmenter.from_checkpoint(source, device)
        return cls(load_weights(source), pick_device(device))

    @property
    def label_values(self) -> tuple[int, ...]:
        """Label values that queries will be given."""
        return tuple(self._values)

    def set_support(self, supports: Sequence[tuple[Volume, Volume]], labels: Sequence[int] | None = None) -> None:
        """Encode and describe labelled scans, once for all queries.

        Args:
            supports: image and label map on one grid, of each labelled scan.
            labels: label values to segment (default: all).

        Raises:
            InputError: no labelled voxel, image and labels of different shape, or a label value that no support has.
        """
        self._values = wanted_values(supports, labels)
        self._ct = frozenset(is_ct(image.array_zyx) for image, _ in supports)
        images = [image for image, _ in supports]
        self._encoder = encoder = ScanEncoder(self.weights, self.device, images, self.precision)
        scans = [self._describe(encoder, number, *support) for number, support in enumerate(supports)]
        self._scans = [scan for scan in scans if scan.organs]

    def segment(self, query: Volume) -> Volume:
        """The label map of a query, on its own grid, with the support's label values."""
        return self.examine(query).labels

    @torch.no_grad()
    def examine(
        self, query: Volume, *, probabilities: bool = False, report: Callable[[float], None] = lambda done: None
    ) -> Segmentation:
        """Segment a query and return confidences and notes with the label map.

        Args:
            query: a scan.
            probabilities: also keep the probabilities of each label: one byte per voxel and label.
            report: called from time to time with the share of the work that is done, 0..1.

        Raises:
            ConfigError: no support has been set.
            InputError: it is not a Volume, or all its voxels have one value.
        """
        if self._encoder is None:
            raise ConfigError("no support has been set", "call set_support first")
        require_contrast(query, "the scan")
        notes = modality_notes(self._ct, query.array_zyx)
        view = self._encoder.view(query)
        grid, turn = view.grid, view.turn
        parts_of_work = 2 * len(view.batches)  # encoding and matching
        features, coarse = self._encoder.encode(view, lambda done: report(done / parts_of_work))
        searches = plan_searches(self._scans, coarse, grid.padded_yx, self._encoder.multiple)
        values = np.array([0, *self._values], dtype=np.min_scalar_type(max(self._values)))
        ranks = np.zeros(view.seen.array_zyx.shape, dtype=np.min_scalar_type(len(self._values)))
        foreground = np.zeros(ranks.shape, dtype=np.uint8)
        each = {value: np.zeros_like(foreground) for value in self._values if probabilities}
        smoothed = self._smoothed_margins(features, searches, view) if self.weights.config.smooth_mm > 0 else {}
        for done, batch in enumerate(view.batches, start=1):
            winner, best = self._compete(
                features[batch].float(),
                batch,
                searches,
                smoothed,
                grid,
                {value: levels[batch] for value, levels in each.items()},
            )
            ranks[batch] = winner.numpy()
            foreground[batch] = levels_of(best)
            report(0.5 + done / parts_of_work)
        keep_largest_parts(ranks, {1 + self._values.index(value): search.parts for value, search in searches.items()})
        confidence = dict(zip(self._values, mean_confidence(ranks, foreground, len(self._values)), strict=True))
        np.minimum(foreground, EVEN, out=foreground, where=ranks == 0)
        return Segmentation(
            query.with_array(turn.undo(values[ranks])),
            confidence,
            turn,
            (*view.notes, *notes),
            turn.undo(foreground),
            {value: turn.undo(levels) for value, levels in each.items()},
            slice_matches_of(searches, view.seen, turn, ranks, self._values),
        )

    def _compete(
        self,
        features: Features,
        batch: slice,
        searches: Mapping[int, Search],
        smoothed: Mapping[int, Tensor],
        grid: PixelGrid,
        each: Mapping[int, npt.NDArray[np.uint8]],
    ) -> tuple[Tensor, Tensor]:
        """Let the labels compete for each voxel of some query slices.

        Args:
            features, batch: features of the slices, and which slices they are.
            searches: by label value.
            smoothed: by label value, margins of all slices of its search where they were smoothed; else empty.
            grid: the network's pixels on them.
            each: by label value, array to which its probabilities are written, (N, Y, X).

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
            if value in smoothed:
                margin = smoothed[value][torch.from_numpy(chosen)].to(self.device)
            else:
                margin = self._margins(features[torch.from_numpy(rows).to(self.device)], search, chosen, grid)
            whole = margin.new_full((len(margin), 1, *grid.padded_yx), NOWHERE)
            whole[..., search.rows, search.columns] = margin
            probability = grid.to_stored(whole).sigmoid()[:, 0].cpu()
            if value in each:
                each[value][rows] = levels_of(probability)
            wins = probability > best[rows]
            winner[rows] = torch.where(wins & (probability > THRESHOLD), 1 + self._values.index(value), winner[rows])
            best[rows] = torch.where(wins, probability, best[rows])
        return winner, best

    def _margins(self, features: Features, search: Search, chosen: npt.NDArray[np.int64], grid: PixelGrid) -> Tensor:
        """Logits of foreground against background (n, 1, h, w) in the window of a search.

        Args:
            features: of n query slices.
            search: of one label.
            chosen: (n,) places of these slices in `search.slices`.
            grid: pixels of the query.
        """
        wanted = torch.from_numpy(search.window[search.rows, search.columns]).to(self.device)
        part = features.window(search.rows, search.columns, grid.padded_yx).within(wanted)
        logits = self.model.match(part, search.support(chosen)).logits
        margin: Tensor = (logits[:, :, 1] - logits[:, :, 0]).masked_fill(~wanted, NOWHERE)
        return margin

    def _smoothed_margins(self, features: Features, searches: Mapping[int, Search], view: View) -> dict[int, Tensor]:
        """By label value, margins of all slices of its search (S, 1, h, w), smoothed across slices."""
        smoothed = {}
        step = view.batches[0].stop
        for value, search in searches.items():
            margins = []
            for start in range(0, len(search.slices), step):
                chosen = np.arange(start, min(start + step, len(search.slices)))
                part = features[torch.from_numpy(search.slices[chosen]).to(self.device)].float()
                margins.append(self._margins(part, search, chosen, view.grid).cpu())
            smoothed[value] = smoothed_across(
                torch.cat(margins), search.slices, view.seen.spacing_mm[2], self.weights.config.smooth_mm
            )
        return smoothed

    def _describe(self, encoder: ScanEncoder, number: int, image: Volume, mask: Volume) -> DescribedScan:
        """Encode labelled scan `number`, and describe each label in its slices."""
        view = encoder.view(image)
        labels = view.turn.apply_array(mask.array_zyx)
        features, coarse = encoder.encode(view)
        organs = {}
        for value in self._values:
            inside = labels == value
            slices = np.flatnonzero(inside.any(axis=(1, 2)))
            if len(slices) == 0:
                continue
            shown = torch.from_numpy(slices)
            masks = view.grid.to_pixels(mask_tensor(labels[slices], [value]), 0.0)
            with torch.no_grad():
                support = self.model.describe(features[shown.to(self.device)].float(), masks.to(self.device))
            outline = (masks > 0).any(dim=0)[0].numpy()
            shares = coarse.masks(masks)[:, 0]
            cells = shares.new_zeros(len(labels), *shares.shape[1:]).index_copy(0, shown, shares)
            positions = organ_positions(view.seen, view.turn, slices, inside)
            organs[value] = Organ(support, slices, outline, cells, parts(inside), number, positions)
        return DescribedScan(coarse, organs)
