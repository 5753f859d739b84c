"""The masks of every stage of a learning, to compare them."""

from pathlib import Path

from psmnet.io import Query, read_scan, write_volume
from psmnet.learning.first_masks import FIRST
from psmnet.learning.run import Learned
from psmnet.learning.scan_store import ScanStore
from psmnet.learning.soft_labels import as_levels
from psmnet.learning.student_masks import STUDENT
from psmnet.learning.vote import VOTE
from psmnet.segmentation import decided_from
from psmnet.volume import Array

FINAL = "final"
STAGES = (FIRST, VOTE, STUDENT, FINAL)
"""In the order in which they are made."""


def write_stage_masks(learned: Learned, folder: Path) -> dict[str, dict[str, Path]]:
    """Write label maps of all scans of the cohort, while the stages' arrays still lie in RUN/work.

    Args:
        learned: a learning with a student.
        folder: receives `<stage>/<name>.nii.gz`.

    Returns:
        Stage to name to file.

    Raises:
        InputError: a scan can't be read, or a file can't be written.
    """
    loaded, opinions = learned.loaded, learned.opinions
    parts = loaded.supports.parts(loaded.values)
    files: dict[str, dict[str, Path]] = {stage: {} for stage in STAGES}
    for query in learned.queries:
        store = ScanStore(learned.job.work, query.name)
        levels = {
            VOTE: store.require(VOTE, opinions.votes[query.name].key)["probabilities"],
            STUDENT: store.require(STUDENT, opinions.student[query.name].key)["probabilities"],
            FINAL: as_levels(opinions.probabilities(query.name)),
        }
        scan = read_scan(query.path, series=learned.job.series).volume
        masks = {FIRST: scan.with_array(first_labels(learned, query))}
        masks |= {stage: decided_from(scan, loaded.view, found, parts).labels for stage, found in levels.items()}
        for stage, mask in masks.items():
            files[stage][query.name] = folder / stage / f"{query.name}.nii.gz"
            write_volume(mask, files[stage][query.name])
    return files


def first_labels(learned: Learned, query: Query) -> Array:
    """A scan's first mask: its label map, on the scan's grid.

    Raises:
        InputError: somebody has removed it from RUN/work since.
    """
    return ScanStore(learned.job.work, query.name).require(FIRST, learned.opinions.first[query.name].key)["labels"]
