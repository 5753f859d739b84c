"""Masks that an earlier run of a learning left in its folder: edited ones stay, others make way for new ones."""

from collections.abc import Sequence

from psmnet.cohort.corrections import is_edited
from psmnet.cohort.job import CohortJob
from psmnet.cohort.records import ScanRecord
from psmnet.cohort.worker import refuse_foreign
from psmnet.io import Query, checksum


def require_own_masks(job: CohortJob, queries: Sequence[Query]) -> None:
    """Refuse, before long work, masks that no learning wrote here, and edited ones of scans that have changed since.

    Args:
        job: of the final masks.
        queries: the cohort.

    Raises:
        InputError: there is one.
    """
    for query in queries:
        outputs = job.outputs(query.name)
        record = ScanRecord.find(outputs.record)
        if record is None or (is_edited(outputs) and record.scan_sha256 != checksum(query.path)):
            refuse_foreign(outputs)


def make_way(job: CohortJob, queries: Sequence[Query]) -> None:
    """Remove masks of an earlier run that nobody edited; edited ones are kept as they are, and taken over.

    Args:
        job: of the final masks, with its key.
        queries: the cohort.
    """
    for query in queries:
        outputs = job.outputs(query.name)
        record = ScanRecord.find(outputs.record)
        if record is None or not outputs.mask.exists():
            continue
        if record.settings == job.key:
            continue
        if is_edited(outputs):
            record.settings = job.key  # as if this run had made it: edited masks of a run are kept
            record.write(outputs.record)
        else:
            outputs.remove()
