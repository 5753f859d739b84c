"""First masks as files, for a person who compares them with the final ones."""

from psmnet.cohort.job import Outputs
from psmnet.io import read_scan, write_volume
from psmnet.learning import Learned, first_labels

FIRST_NAME = "first"


def write_first_masks(learned: Learned, ending: str) -> None:
    """Write the first mask of every scan to RUN/first, while the stages' arrays still lie in RUN/work.

    Args:
        learned: what was learned.
        ending: file format, in FORMATS.

    Raises:
        InputError: a scan can't be read, or a mask not written.
    """
    for query in learned.queries:
        scan = read_scan(query.path, series=learned.job.series).volume
        mask = Outputs(learned.job.out / FIRST_NAME, query.name, ending).mask
        write_volume(scan.with_array(first_labels(learned, query)), mask)
