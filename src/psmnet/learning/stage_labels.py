"""Label maps of the stages before the last, for pictures: what they keep of a scan is not on the scan's own grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psmnet.learning.first_masks import FIRST
from psmnet.learning.run import Learned
from psmnet.learning.scan_store import ScanStore
from psmnet.learning.vote import VOTE
from psmnet.segmentation import StudentView, decided_from
from psmnet.volume import Array, Volume


@dataclass(frozen=True)
class StageLabels:
    """First masks and votes of a cohort, which any process can read.

    Attributes:
        work: folder of the stages.
        keys: by scan, those of its first masks and of its vote.
        view: whose pixels the vote has.
        parts: label value to the number of connected parts that are kept.
    """

    work: Path
    keys: Mapping[str, tuple[str, str]]
    view: StudentView
    parts: Mapping[int, int]

    @staticmethod
    def of(learned: Learned) -> "StageLabels":
        """Those of a learning whose folder of stages is still there."""
        opinions = learned.opinions
        return StageLabels(
            learned.job.work,
            {name: (opinions.first[name].key, vote.key) for name, vote in opinions.votes.items()},
            learned.loaded.view,
            learned.loaded.supports.parts(learned.loaded.values),
        )

    def labels(self, name: str, scan: Volume) -> tuple[Array, Array]:
        """Label values of the first masks and of the vote on a scan's grid, as stored.

        Raises:
            InputError: they have been removed.
        """
        first_key, vote_key = self.keys[name]
        store = ScanStore(self.work, name)
        voted = store.require(VOTE, vote_key)["probabilities"]
        vote = decided_from(scan, self.view, voted, self.parts).labels
        return store.require(FIRST, first_key)["labels"], vote.array_zyx
