"""What is thought of the organs of each scan (vote, registered labels, student), and how these are weighed.

Vote and registration err in different ways: where they agree they are mostly right, and a student that was taught by
that only tells, for each organ, which of the two to trust. [ours; docs/decisions.md]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from psmnet.io import digest
from psmnet.learning.first_masks import FIRST, FirstMask
from psmnet.learning.scan_store import ScanStore
from psmnet.learning.soft_labels import winners
from psmnet.learning.student_masks import STUDENT, StudentMask
from psmnet.learning.vote import VOTE, VotedMask
from psmnet.segmentation import LEVELS

LOST = 0.3  # mean Dice with vote and registration below which a student has not found an organ
DISPUTED = 0.5  # Dice of vote and registration below which neither teaches an organ in the first round
DECIDED = 0.05  # difference of the two mean Dice with the student that makes one of them count 0.73, the other 0.27


@dataclass(frozen=True)
class Opinions:
    """Probabilities of all scans' organs.

    Attributes:
        work: folder of the stages.
        first, votes: by scan.
        student: by scan; none before a training.
        registration: (K,), weight of the registered labels against the vote, 0..1.
    """

    work: Path
    first: Mapping[str, FirstMask]
    votes: Mapping[str, VotedMask]
    student: Mapping[str, StudentMask] = field(default_factory=dict)
    registration: tuple[float, ...] = ()

    def key(self, name: str) -> str:
        """Checksum of all that a scan's probabilities are made from."""
        student = (self.student[name].key, repr(self.lost.tolist())) if self.student else ()
        return digest(self.votes[name].key, repr(self.registration), *student)

    @cached_property
    def lost(self) -> npt.NDArray[np.bool_]:
        """Organs (K,) for which the student agrees neither with the vote nor with the registered labels, on average."""
        found: npt.NDArray[np.bool_] = np.mean([one.trust for one in self.student.values()], axis=0) < LOST
        return found

    def probabilities(self, name: str) -> npt.NDArray[np.float32]:
        """Of each organ in a scan, (K, Z, h, w), 0..1, in the student's pixels.

        They are the student's, where there is one, but for organs that it has lost.
        """
        store = ScanStore(self.work, name)
        mean = _shares(store.require(VOTE, self.votes[name].key)["probabilities"])
        if any(self.registration):
            weights = np.array(self.registration, dtype=np.float32)[:, None, None, None]
            registered = _shares(store.require(FIRST, self.first[name].key)["registered"])
            mean = (1 - weights) * mean + weights * registered
        if self.student:
            own = _shares(store.require(STUDENT, self.student[name].key)["probabilities"])
            mean = np.where(self.lost[:, None, None, None], mean, own)
        return mean

    def disputed(self, name: str) -> npt.NDArray[np.bool_]:
        """Organs (K,) of which vote and registration have little in common; none without registration."""
        agreement = self.votes[name].agreement
        if agreement is None:
            return np.zeros(len(self.votes[name].confidence), dtype=np.bool_)
        return np.array(agreement) < DISPUTED

    def agreed(self, name: str, opened: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Pixels (Z, h, w) for which vote and registration say the same; all of them without registration.

        Args:
            name: of the scan.
            opened: (K,), organs that count as background in both.
        """
        store = ScanStore(self.work, name)
        voted = store.require(VOTE, self.votes[name].key)["probabilities"]
        registered = store.require(FIRST, self.first[name].key).get("registered")
        if registered is None:
            return np.ones(voted.shape[1:], dtype=np.bool_)
        same: npt.NDArray[np.bool_] = _classes(voted, opened) == _classes(registered, opened)
        return same


def weight_of_registration(student: Sequence[StudentMask]) -> tuple[float, ...]:
    """Weight (K,), 0..1, of the registered labels against the vote, by which of them the student agrees with more."""
    with_vote = np.mean([one.with_vote for one in student], axis=0)
    registered = [one.with_registration for one in student if one.with_registration is not None]
    if not registered:
        return (0.0,) * len(with_vote)
    weights: list[float] = (1 / (1 + np.exp((with_vote - np.mean(registered, axis=0)) / DECIDED))).tolist()
    return tuple(weights)


def _shares(levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return levels.astype(np.float32) / np.float32(LEVELS)


def _classes(levels: npt.NDArray[np.uint8], opened: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    ranks = winners(levels)
    return np.where(np.isin(ranks, 1 + np.flatnonzero(opened)), 0, ranks)
