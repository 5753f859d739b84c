"""Pictures of a learning's scans: first masks, vote and final masks side by side."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from psmnet.cohort.job import CohortJob
from psmnet.io import Query, read_labels, read_scan
from psmnet.learning import StageLabels
from psmnet.report import draw_stages
from psmnet.volume import align_labels

FEW, LARGE_PX, SMALL_PX = 40, 200, 130  # scans up to which pictures are large, and the height of their slices


@dataclass(frozen=True)
class StagePictures:
    """Draws one scan after another, in any process.

    Attributes:
        stages: of the learning.
        masks: how the final masks were written.
        folder: of the pictures.
        with_vote: whether the vote is shown; it is the final mask where nothing was trained.
        height_px: of a slice.
    """

    stages: StageLabels
    masks: CohortJob
    folder: Path
    with_vote: bool
    height_px: int

    def path(self, name: str) -> Path:
        """Picture of a scan."""
        return self.folder / f"{name}.jpg"

    def __call__(self, query: Query, report: Callable[[float], None] = lambda done: None) -> Path:
        """Draw a scan's masks.

        Raises:
            PsmnetError: the scan or its mask can't be read, or the picture can't be written.
        """
        scan = read_scan(query.path, series=self.masks.series).volume
        mask = self.masks.outputs(query.name).mask
        final = align_labels(scan, read_labels(mask), image_name=query.name, labels_name=mask.name)
        first, vote = self.stages.labels(query.name, scan)
        turn, _ = self.stages.view.turn(scan)
        shown = {"first masks": first, "vote": vote, "final masks": final.array_zyx}
        if not self.with_vote:
            del shown["vote"]
        turned = {name: turn.apply_array(labels) for name, labels in shown.items()}
        draw_stages(turn.apply(scan), turned, self.path(query.name), height_px=self.height_px)
        return self.path(query.name)
