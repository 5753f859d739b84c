"""After a training: what the student makes of each scan of the cohort, for a further round and to judge the result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from psmnet.io import Query, digest, read_scan
from psmnet.learning.first_masks import FIRST
from psmnet.learning.job import LearnJob
from psmnet.learning.scan_store import ScanStore
from psmnet.learning.soft_labels import agreement, confidence
from psmnet.learning.vote import VOTE
from psmnet.runtime import pick_device
from psmnet.segmentation import LEVELS, LearnedWeights, ScanFacts, load_learned, predictions
from psmnet.system import sha256_of

STUDENT = "student"


@dataclass(frozen=True)
class StudentMask:
    """What the student makes of a scan.

    Attributes:
        name, key: of the scan, and the checksum of the student and of all that it learned from.
        confidence: (K,), mean probability of each organ in the student's masks, 0..1.
        with_vote, with_registration: (K,), Dice of the student's masks with the vote's and with the registered labels;
            the latter None without registration.
        facts: what new scans are compared with.
    """

    name: str
    key: str
    confidence: tuple[float, ...]
    with_vote: tuple[float, ...]
    with_registration: tuple[float, ...] | None
    facts: ScanFacts

    @property
    def trust(self) -> tuple[float, ...]:
        """Agreement (K,) of each organ with the vote or the registered labels, whichever is larger."""
        registered = self.with_registration or self.with_vote
        return tuple(max(pair) for pair in zip(self.with_vote, registered, strict=True))


class StudentMasks:
    """Segments one scan after another with a student.

    Args:
        job: with its key.
        weights: file of the student.
        keys: by scan, those of its first masks and of its vote.
    """

    def __init__(self, job: LearnJob, weights: Path, keys: Mapping[str, tuple[str, str]]) -> None:
        self.job, self.path, self.keys = job, weights, keys

    @cached_property
    def _weights(self) -> LearnedWeights:
        if self.job.threads is not None:
            torch.set_num_threads(self.job.threads)
        weights = load_learned(self.path)
        model: Any = weights.model
        model.to(pick_device(self.job.device), memory_format=torch.channels_last)
        return weights

    @cached_property
    def _checksum(self) -> str:
        return sha256_of(self.path)

    def __call__(self, query: Query, report: Callable[[float], None] = lambda done: None) -> StudentMask:
        """The student's masks of a scan.

        Raises:
            PsmnetError: the scan can't be read.
        """
        store = ScanStore(self.job.work, query.name)
        first_key, vote_key = self.keys[query.name]
        first, vote = store.require(FIRST, first_key), store.require(VOTE, vote_key)
        scan = read_scan(query.path, series=self.job.series).volume
        view = self._weights.view
        seen = view.turn(scan)[0].apply(scan)
        probabilities, codes = [], []
        for batch, p, code in predictions(self._weights.model, view, seen, pick_device(self.job.device)):
            probabilities.append((p.movedim(0, 1) * LEVELS).round().to(torch.uint8).cpu().numpy())
            codes.append(code.cpu())
            report(batch.stop / len(seen.array_zyx))
        own = np.concatenate(probabilities, axis=1)
        key = digest(first_key, vote_key, self._checksum)
        store.save(STUDENT, key, probabilities=own)
        registered = first.get("registered")
        return StudentMask(
            query.name,
            key,
            tuple(confidence(own).tolist()),
            tuple(agreement(own, vote["probabilities"]).tolist()),
            None if registered is None else tuple(agreement(own, registered).tolist()),
            ScanFacts.of(seen, torch.cat(codes).mean(dim=0).numpy()),
        )
