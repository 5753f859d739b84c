"""Settings of a learning from one labelled scan and a cohort of unlabelled ones."""

from dataclasses import dataclass, field

from psmnet.errors import require
from psmnet.learning.student_training import StudentTraining


@dataclass(frozen=True)
class LearnSettings:
    """How a network of its own is learned for one kind of scan.

    Attributes:
        rounds: how often a student is trained; each later one learns from the masks of the one before.
        vote_only: stop after the vote, without training: label propagation.
        seed: of the student's first weights and of all draws.
        voters: labelled scans and pseudo-supports that vote on each scan; the pseudo-supports are the scans whose first
            masks are most confident, as many as labelled scans are missing.
        registration: weight of the registered labels beside the vote; 0 leaves registration out.
        share: of the cohort's scans whose pseudo-labels of an organ are used, the most confident ones.
        mixed: weight of the vote in the final masks; the student's is what is left to 1.
        training: of the student.
    """

    rounds: int = 1
    vote_only: bool = False
    seed: int = 0
    voters: int = 4
    registration: float = 0.0
    share: float = 0.5
    mixed: float = 0.5
    training: StudentTraining = field(default_factory=StudentTraining)

    def __post_init__(self) -> None:
        for name in ("rounds", "voters"):
            require(getattr(self, name) > 0, f"{name} is {getattr(self, name)}", "give 1 or more")
        require(0 < self.share <= 1, f"share is {self.share}", "give a number above 0, at most 1")
        for name in ("registration", "mixed"):
            require(0 <= getattr(self, name) <= 1, f"{name} is {getattr(self, name)}", "give 0 to 1")
