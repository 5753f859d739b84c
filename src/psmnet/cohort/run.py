"""A cohort from paths to masks and summary: who works on the scans, and what they leave."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from psmnet import runtime
from psmnet.cohort.job import CohortJob, Loaded
from psmnet.cohort.summary import Cohort, write_summary
from psmnet.cohort.worker import Done, Worker, require_own
from psmnet.errors import PsmnetError
from psmnet.io import Query, Skipped
from psmnet.system import ONE_AT_A_TIME, Workers, locked, sweep


def segment_cohort(
    job: CohortJob,
    queries: Sequence[Query],
    skipped: Sequence[Skipped] = (),
    *,
    failed_before: Sequence[tuple[Query, PsmnetError]] = (),
    workers: Workers = ONE_AT_A_TIME,
    report: Callable[[int, str], None] = lambda done, name: None,
) -> tuple[CohortJob, Loaded, Cohort]:
    """Segment scans and write masks, pictures and a summary to the job's folder.

    Scans that an earlier run segmented from the same inputs with the same settings are kept. A scan that fails does
    not stop the others.

    Args:
        job: labelled scans and settings.
        queries: scans to segment.
        skipped: files that were no queries, for the report.
        failed_before: other scans that could not be used, for the report.
        workers: who segments the scans.
        report: called with the number of finished scans and the name of the last one.

    Returns:
        The job with its checksum, what its paths hold, and what became of the scans.

    Raises:
        PsmnetError: the labelled scans, the weights, the device or the folder can't be used.
    """
    began = time.perf_counter()
    if workers.cluster is None:
        runtime.pick_device(job.device)
    if job.threads is None:
        job = replace(job, threads=workers.threads)
    loaded = job.load()
    job = job.with_key(loaded)
    done: dict[Query, Done] = {}
    failed: dict[Query, PsmnetError] = {}
    with locked(job.out):
        sweep(job.out)
        require_own(job, queries)
        here = Worker(job, loaded)
        with closing(workers.map(partial(Worker, job), queries, key=job.key, folder=job.out, here=here)) as results:
            for query, result in results:
                if isinstance(result, Done):
                    done[query] = result
                else:
                    failed[query] = result
                report(len(done) + len(failed), query.name)
        cohort = Cohort(
            entries=[done[query].entry for query in queries if query in done],
            failed=[*failed_before, *((query, failed[query]) for query in queries if query in failed)],
            skipped=skipped,
            kept=sum(one.kept for one in done.values()),
            seconds=time.perf_counter() - began,
        )
        write_summary(job, loaded, cohort)
    return job, loaded, cohort
