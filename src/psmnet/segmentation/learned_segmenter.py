"""`LearnedSegmenter`: segments whole scans with a learned network, without a labelled scan."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from psmnet.errors import InputError
from psmnet.models import Student
from psmnet.runtime import pick_device
from psmnet.segmentation.checks import require_contrast
from psmnet.segmentation.decision import decided, slices_at_once
from psmnet.segmentation.learned_weights import LearnedWeights, load_learned
from psmnet.segmentation.likeness import ScanFacts
from psmnet.segmentation.modality import taken_as_ct
from psmnet.segmentation.result import Segmentation
from psmnet.segmentation.student_view import StudentView
from psmnet.volume import Reorientation, Volume


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

    def examine(
        self, query: Volume, *, probabilities: bool = False, report: Callable[[float], None] = lambda done: None
    ) -> Segmentation:
        """Segment a query and return confidences and notes with the label map.

        Args:
            query: a scan.
            probabilities: also keep the probabilities of each label: one byte per voxel and label.
            report: called from time to time with the share of the work that is done, 0..1.

        Raises:
            InputError: it is not a Volume, or all its voxels have one value.
        """
        require_contrast(query, "the scan")
        view = self.weights.view
        turn, turned_notes = self._turn(query)
        seen = turn.apply(query)
        codes: list[Tensor] = []

        def batches() -> Iterator[tuple[slice, Tensor]]:
            for batch, p, code in predictions(self.model, view, seen, self.device):
                codes.append(code.cpu())
                yield batch, p

        def notes() -> list[str]:
            facts = ScanFacts.of(seen, torch.cat(codes).mean(dim=0).numpy())
            return [*turned_notes, *self.weights.likeness.warnings(facts), *taken_as_ct(query.array_zyx)]

        parts = {value: self.weights.parts[value] for value in self.weights.organs}
        return decided(
            query,
            turn,
            view.grid(seen),
            batches(),
            parts,
            values=self._values,
            probabilities=probabilities,
            notes=notes,
            report=report,
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
