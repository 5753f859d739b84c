"""Settings of a learning from one labelled scan and a cohort of unlabelled ones."""

from dataclasses import dataclass, field, replace

from psmnet.errors import require
from psmnet.learning.student_training import StudentTraining


@dataclass(frozen=True)
class LearnSettings:
    """How a network of its own is learned for one kind of scan.

    Attributes:
        rounds: how often the student is trained: first on what vote and registration agree upon, then on what student,
            vote and registration say together.
        vote_only: stop after the vote, without training: label propagation.
        seed: of the student's first weights and of all draws.
        voters: labelled scans and pseudo-supports that vote on each scan; the pseudo-supports are the scans whose first
            masks are most confident, as many as labelled scans are missing.
        registration: whether the labelled scans are also registered to each scan, as a second opinion.
        share: of the cohort's scans whose pseudo-labels of an organ are used, the most confident ones.
        training: of the student, in each round; the first, which only tells whom to trust, takes half as many steps.
    """

    rounds: int = 2
    vote_only: bool = False
    seed: int = 0
    voters: int = 4
    registration: bool = True
    share: float = 1.0
    training: StudentTraining = field(default_factory=StudentTraining)

    def __post_init__(self) -> None:
        for name in ("rounds", "voters"):
            require(getattr(self, name) > 0, f"{name} is {getattr(self, name)}", "give 1 or more")
        require(0 < self.share <= 1, f"share is {self.share}", "give a number above 0, at most 1")

    @property
    def registered(self) -> bool:
        """Whether labelled scans are registered: a vote alone does not need it."""
        return self.registration and not self.vote_only

    def training_of(self, number: int) -> StudentTraining:
        """The training of round `number`, counted from 1."""
        if number > 1 or self.rounds == 1:
            return self.training
        return replace(self.training, steps=max(1, self.training.steps // 2))
