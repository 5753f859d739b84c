"""Stage 2, the vote: each scan's probabilities from several labelled scans, averaged.

Voters are the labelled scans, one by one, and pseudo-supports: scans of the cohort with their first masks. Averaging
separate results is better than matching with all of them together. Where a learning goes on from an earlier network,
that takes the place of all pseudo-supports: it has learned from them, and from what a person corrected since.
[ours; docs/decisions.md has the figures]
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from psmnet.io import Query, digest, read_scan
from psmnet.learning.first_masks import FIRST, FirstMask
from psmnet.learning.job import LabelledScans, LearnJob
from psmnet.learning.scan_store import ScanStore
from psmnet.learning.soft_labels import agreement, confidence, probabilities_of
from psmnet.runtime import pick_device
from psmnet.segmentation import LEVELS, LearnedWeights, Segmenter, predictions
from psmnet.volume import Volume

VOTE = "vote"
MISPLACED = 0.2  # Dice of first masks and registered labels below which one of them is elsewhere: no vote on that organ


def pseudo_supports(first: Sequence[FirstMask], count: int) -> list[FirstMask]:
    """The scans whose least sure organ is most certain, at most `count`; those that lack an organ come last."""
    return sorted(first, key=lambda one: (-min(one.confidence), one.name))[: max(0, count)]


def earlier_votes(voters: int, labelled: int) -> int:
    """How many votes an earlier network has: those of the pseudo-supports that it replaces, at least one."""
    return max(1, voters - labelled)


@dataclass(frozen=True)
class PseudoSupport:
    """A scan of the cohort that votes with its first masks: the scan, and the key of those."""

    query: Query
    key: str


@dataclass(frozen=True)
class VotedMask:
    """What the vote on a scan tells.

    Attributes:
        name, key: of the scan, and the checksum of all that voted.
        confidence: (K,), mean probability of each organ, 0..1.
        agreement: (K,), Dice of the vote and the registered labels; None without registration.
    """

    name: str
    key: str
    confidence: tuple[float, ...]
    agreement: tuple[float, ...] | None


class Vote:
    """Votes on one scan after another, unless an earlier run did with the same voters.

    Args:
        job: with its key.
        voters: pseudo-supports, besides the labelled scans.
        loaded: the job's labelled scans, if they have been read already.
    """

    def __init__(self, job: LearnJob, voters: Sequence[PseudoSupport], loaded: LabelledScans | None = None) -> None:
        self.job, self.voters = job, tuple(voters)
        self._read = loaded

    @cached_property
    def _loaded(self) -> LabelledScans:
        return self._read or self.job.load()

    @cached_property
    def _labelled(self) -> list[Segmenter]:
        """One segmenter for each labelled scan; none where the first masks are those of a single one already."""
        pairs = self._loaded.supports.pairs
        return [self._segmenter(*pair) for pair in pairs] if len(pairs) > 1 else []

    @cached_property
    def _pseudo(self) -> dict[str, Segmenter]:
        """One segmenter for each pseudo-support, of the organs that are not misplaced there."""
        segmenters = {}
        for voter in self.voters:
            scan = read_scan(voter.query.path, series=self.job.series).volume
            stored = ScanStore(self.job.work, voter.query.name).require(FIRST, voter.key)
            labels = stored["labels"]
            if (agreed := stored.get("agreement")) is not None:
                misplaced = [v for v, a in zip(self._loaded.values, agreed, strict=True) if a < MISPLACED]
                labels = np.where(np.isin(labels, misplaced), 0, labels)
            if labels.any():
                segmenters[voter.query.name] = self._segmenter(scan, scan.with_array(labels))
        return segmenters

    @cached_property
    def _earlier(self) -> LearnedWeights | None:
        """The earlier network, on its device."""
        earlier = self._loaded.earlier
        if earlier is not None:
            model: Any = earlier.model
            model.to(pick_device(self.job.device), memory_format=torch.channels_last)
        return earlier

    def _segmenter(self, image: Volume, labels: Volume) -> Segmenter:
        if self.job.threads is not None:
            torch.set_num_threads(self.job.threads)
        segmenter = Segmenter(self._loaded.weights, pick_device(self.job.device))
        values = [value for value in self._loaded.values if (labels.array_zyx == value).any()]
        segmenter.set_support([(image, labels)], values)
        return segmenter

    def __call__(self, item: tuple[Query, str], report: Callable[[float], None] = lambda done: None) -> VotedMask:
        """The vote on a scan.

        Args:
            item: the scan, and the key of its first masks.
            report: called with the finished share, 0..1.

        Raises:
            PsmnetError: it can't be used.
        """
        query, first_key = item
        voters = [voter for voter in self.voters if voter.query.name != query.name]
        earlier = self._loaded.earlier
        network = [] if earlier is None else [earlier.sha256, str(self.job.settings.voters)]
        key = digest(first_key, *network, *sorted(voter.key for voter in voters))
        store = ScanStore(self.job.work, query.name)
        first = store.require(FIRST, first_key)
        stored = store.load(VOTE, key)
        if stored is None:
            stored = {"probabilities": self._averaged(query, first["probabilities"], report)}
            store.save(VOTE, key, **stored)
        registered = first.get("registered")
        return VotedMask(
            query.name,
            key,
            tuple(confidence(stored["probabilities"]).tolist()),
            None if registered is None else tuple(agreement(stored["probabilities"], registered).tolist()),
        )

    def _averaged(
        self, query: Query, first: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", report: Callable[[float], None]
    ) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
        """Mean probability of each organ over the voters that have it."""
        values = self._loaded.values
        segmenters = [*self._labelled, *(one for name, one in self._pseudo.items() if name != query.name)]
        if not segmenters and self._earlier is None:
            return first
        scan = read_scan(query.path, series=self.job.series).volume
        turn, _ = self._loaded.view.turn(scan)
        total = np.zeros(first.shape, dtype=np.float32)
        votes = np.zeros(len(values), dtype=np.float32)
        if not self._labelled:  # a single labelled scan, whose vote is the first masks
            total += first
            votes += 1
        for number, segmenter in enumerate(segmenters, 1):
            result = segmenter.examine(scan, probabilities=True)
            total += probabilities_of(result, self._loaded.view, turn, scan, values)
            votes += np.isin(values, segmenter.label_values)
            report(number / len(segmenters))
        if self._earlier is not None:
            weight = earlier_votes(self.job.settings.voters, len(self._loaded.supports.pairs))
            total += weight * self._predicted(self._earlier, turn.apply(scan))
            votes += weight
        mean = total / np.maximum(votes, 1)[:, None, None, None]
        return np.clip(np.rint(mean), 0, LEVELS).astype(np.uint8)

    def _predicted(self, weights: LearnedWeights, seen: Volume) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        """Probabilities (K, Z, h, w), 0..LEVELS, of a learned network."""
        device = pick_device(self.job.device)
        found = [p.movedim(0, 1).cpu().numpy() for _, p, _ in predictions(weights.model, weights.view, seen, device)]
        levels: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = np.concatenate(found, axis=1) * np.float32(LEVELS)
        return levels
