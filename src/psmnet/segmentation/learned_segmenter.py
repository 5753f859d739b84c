"""`LearnedSegmenter`: segments whole scans with a learned network, without a labelled scan."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from psmnet.errors import ConfigError, InputError
from psmnet.models import Student
from psmnet.runtime import pick_device
from psmnet.segmentation.checks import require_contrast
from psmnet.segmentation.cleanup import keep_largest_parts
from psmnet.segmentation.inference import BATCH
from psmnet.segmentation.learned_weights import LearnedWeights, load_learned
from psmnet.segmentation.likeness import ScanFacts
from psmnet.segmentation.modality import taken_as_ct
from psmnet.segmentation.result import EVEN, LEVELS, Segmentation, levels_of, mean_confidence
from psmnet.segmentation.student_view import StudentView
from psmnet.volume import Array, PixelGrid, Reorientation, Volume

MOST_PIXELS = BATCH * 256**2  # of the network, in a batch
MOST_PROBABILITIES = 2**24  # of all organs at the scan's own voxels, in a batch


class LearnedSegmenter:
    """Segments scans with a learned network.

    Args:
        weights: the network.
        device: where it runs.
        labels: label values to segment (default: all that the network learned). Masks of some labels are those of all
            labels without the others.

    Raises:
        InputError: a label value that the network did not learn.

    Example:
        >>> segmenter = LearnedSegmenter.from_checkpoint("run")        # doctest: +SKIP
        >>> mask = segmenter.segment(query)                            # doctest: +SKIP
    """

    def __init__(self, weights: LearnedWeights, device: torch.device, labels: Sequence[int] | None = None) -> None:
        self.weights = weights
        self.device = device
        model: Any = weights.model
        self.model: Student = model.to(device, memory_format=torch.channels_last)  # a fifth faster on a CPU
        self._values = learned_values(weights, labels)

    @classmethod
    def from_checkpoint(cls, source: str | Path, device: str = "auto") -> Self:
        """With the network of a learning's folder or a file."""
        return cls(load_learned(source), pick_device(device))

    @property
    def label_values(self) -> tuple[int, ...]:
        """Label values that queries will be given."""
        return tuple(self._values)

    def segment(self, query: Volume) -> Volume:
        """The label map of a query, on its own grid, with the label values that the network learned."""
        return self.examine(query).labels

    @torch.no_grad()
    def examine(
        self,
        query: Volume,
        *,
        probabilities: bool = False,
        report: Callable[[float], None] = lambda done: None,
        beside: Array | None = None,
        beside_share: float | Mapping[int, float] = 0.5,
    ) -> Segmentation:
        """Segment a query and return confidences and notes with the label map.

        Args:
            query: a scan.
            probabilities: also keep the probabilities of each label: one byte per voxel and label.
            report: called from time to time with the share of the work that is done, 0..1.
            beside: probabilities of another source that are mixed with the network's before the organs compete:
                (K, Z, h, w) in the pixels of `weights.view`, all organs in the network's order; 0..1, or uint8 as
                0..LEVELS.
            beside_share: their share, 0..1, of all organs or by label value.

        Raises:
            InputError: it is not a Volume, all its voxels have one value, or `beside` has another shape.
            ConfigError: a share outside 0..1 or missing.
        """
        require_contrast(query, "the scan")
        view, organs = self.weights.view, list(self.weights.organs)
        turn, turned_notes = self._turn(query)
        seen = turn.apply(query)
        grid = view.grid(seen)
        shares = _shares(beside_share, organs)
        if beside is not None and beside.shape != (expected := (len(organs), len(seen.array_zyx), *grid.padded_yx)):
            raise InputError(f"probabilities of shape {beside.shape} for a scan of {expected}", "compute them again")
        wanted = torch.tensor([organs.index(value) for value in self._values])
        rank_of = torch.zeros(1 + len(organs), dtype=torch.int64)
        rank_of[1 + wanted] = torch.arange(1, 1 + len(self._values))
        ranks = np.zeros(seen.array_zyx.shape, dtype=np.min_scalar_type(len(self._values)))
        foreground = np.zeros(ranks.shape, dtype=np.uint8)
        each = {value: np.zeros_like(foreground) for value in self._values if probabilities}
        codes = []
        for batch, p, code in predictions(self.model, view, seen, self.device):
            if beside is not None:
                other = torch.from_numpy(np.array(beside[:, batch])).to(self.device)
                other = other.float() / LEVELS if other.dtype == torch.uint8 else other.float()
                p = torch.lerp(p, other.movedim(0, 1), shares.to(self.device)[:, None, None])
            stored = grid.to_stored(p).cpu()
            best, organ = stored.max(dim=1)
            organ = torch.where(best > 1 - stored.sum(dim=1), 1 + organ, 0)
            ranks[batch] = rank_of[organ].numpy()
            shown = stored if len(wanted) == len(organs) else stored[:, wanted]
            foreground[batch] = levels_of(best if shown is stored else shown.amax(dim=1))
            for number, value in enumerate(each):
                each[value][batch] = levels_of(shown[:, number])
            codes.append(code.cpu())
            report(batch.stop / len(ranks))
        parts = {rank: self.weights.parts[value] for rank, value in enumerate(self._values, 1)}
        keep_largest_parts(ranks, parts)
        confidence = dict(zip(self._values, mean_confidence(ranks, foreground, len(parts)), strict=True))
        np.minimum(foreground, EVEN, out=foreground, where=ranks == 0)
        facts = ScanFacts.of(seen, torch.cat(codes).mean(dim=0).numpy())
        values = np.array([0, *self._values], dtype=np.min_scalar_type(max(self._values)))
        return Segmentation(
            query.with_array(turn.undo(values[ranks])),
            confidence,
            turn,
            (*turned_notes, *self.weights.likeness.warnings(facts), *taken_as_ct(query.array_zyx)),
            turn.undo(foreground),
            {value: turn.undo(levels) for value, levels in each.items()},
        )

    def _turn(self, query: Volume) -> tuple[Reorientation, list[str]]:
        """How a query is brought to the network's axes, and a warning where its slices are cut another way."""
        turn, notes = self.weights.view.turn(query)
        if not notes:
            return turn, []
        own = " x ".join(f"{query.spacing_mm[axis]:g}" for axis in turn.axes)
        learned = " x ".join(f"{mm:g}" for mm in self.weights.view.spacing_mm)
        return turn, [
            f"warning: the scan was acquired in another plane than those the network learned from: {own} mm along axes "
            f"on which these have {learned} mm; look closely at the result"
        ]


def learned_values(weights: LearnedWeights, labels: Sequence[int] | None) -> list[int]:
    """Label values to segment, ascending: some or (None, or none given) all of those that a network learned.

    Raises:
        InputError: a value that it did not learn.
    """
    for value in labels or ():
        if value not in weights.organs:
            known = ", ".join(f"{known} {organ.name}" for known, organ in weights.organs.items())
            raise InputError(f"the network did not learn label {value}", f"choose from {known}")
    return sorted(set(labels or weights.organs))


def predictions(
    model: Student, view: StudentView, seen: Volume, device: torch.device
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Segment a scan that was brought to the view's axes, batch by batch.

    Yields:
        which slices these are, probabilities (n, K, h, w) at the view's pixels, and the network's code (n, D).
    """
    with torch.no_grad():
        for batch, stacks in view.stacks(seen, slices_at_once(view.grid(seen), model.head.out_channels)):
            logits, code = model.logits_and_code(stacks.to(device))
            yield batch, logits.softmax(dim=1)[:, 1:], code


def scan_facts(model: Student, view: StudentView, scan: Volume, device: torch.device) -> ScanFacts:
    """What `Likeness` compares of a scan; the model is on the device and in evaluation mode."""
    seen = view.turn(scan)[0].apply(scan)
    codes = [code.cpu() for _, _, code in predictions(model, view, seen, device)]
    return ScanFacts.of(seen, torch.cat(codes).mean(dim=0).numpy())


def slices_at_once(grid: PixelGrid, classes: int) -> int:
    """Slices in a batch: fewer where they are wider or have more classes, so that memory does not grow with these."""
    height, width = grid.padded_yx
    rows, columns = grid.stored_yx
    return max(1, min(BATCH, MOST_PIXELS // (height * width), MOST_PROBABILITIES // (classes * rows * columns)))


def _shares(share: float | Mapping[int, float], organs: Sequence[int]) -> Tensor:
    """By organ (K,)."""
    found = dict.fromkeys(organs, share) if isinstance(share, int | float) else share
    for value in organs:
        if not 0 <= found.get(value, -1) <= 1:
            raise ConfigError(f"share {found.get(value)} of label {value}", "give a number from 0 to 1 for each label")
    return torch.tensor([float(found[value]) for value in organs])
