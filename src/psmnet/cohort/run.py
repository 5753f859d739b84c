"""A cohort from paths to masks and summary: who works on the scans, and what they leave."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

from psmnet import runtime
from psmnet.cohort.cluster import on_cluster
from psmnet.cohort.engines import QueryResults, in_processes, in_this_process
from psmnet.cohort.job import CohortJob, Loaded
from psmnet.cohort.summary import Cohort, write_summary
from psmnet.cohort.worker import Done, Worker, require_own
from psmnet.errors import PsmnetError
from psmnet.io import Query, Skipped
from psmnet.system import locked, sweep

TIMEOUT_S = 1800.0  # for one scan


def segment_cohort(
    job: CohortJob,
    queries: Sequence[Query],
    skipped: Sequence[Skipped] = (),
    *,
    workers: int | None = None,
    timeout_s: float | None = None,
    cluster: str | None = None,
    report: Callable[[int, str], None] = lambda done, name: None,
) -> tuple[CohortJob, Loaded, Cohort]:
    """Segment scans and write masks, pictures and a summary to the job's folder.

    Scans that an earlier run segmented from the same inputs with the same settings are kept. A scan that fails does
    not stop the others.

    Args:
        job: labelled scans and settings.
        queries: scans to segment.
        skipped: files that were no queries, for the report.
        workers: scans at the same time, each in a process; None for one at a time.
        timeout_s: after which a scan is given up; None for TIMEOUT_S.
        cluster: address of a Dask scheduler whose workers segment the scans, in place of this machine.
        report: called with the number of finished scans and the name of the last one.

    Returns:
        The job with its checksum, what its paths hold, and what became of the scans.

    Raises:
        PsmnetError: the labelled scans, the weights, the device or the folder can't be used.
    """
    began = time.perf_counter()
    if cluster is None:
        runtime.pick_device(job.device)
    if job.threads is None and workers is not None:  # the cores are shared out
        job = replace(job, threads=max(1, (os.cpu_count() or 1) // workers))
    loaded = job.load()
    job = job.with_key(loaded)
    done: dict[Query, Done] = {}
    failed: dict[Query, PsmnetError] = {}
    with locked(job.out):
        sweep(job.out)
        require_own(job, queries)
        with closing(_engine(job, loaded, queries, workers, timeout_s, cluster)) as engine:
            for query, result in engine:
                if isinstance(result, Done):
                    done[query] = result
                else:
                    failed[query] = result
                report(len(done) + len(failed), query.name)
        cohort = Cohort(
            entries=[done[query].entry for query in queries if query in done],
            failed=[(query, failed[query]) for query in queries if query in failed],
            skipped=skipped,
            kept=sum(one.kept for one in done.values()),
            seconds=time.perf_counter() - began,
        )
        write_summary(job, loaded, cohort)
    return job, loaded, cohort


def _engine(
    job: CohortJob,
    loaded: Loaded,
    queries: Sequence[Query],
    workers: int | None,
    timeout_s: float | None,
    cluster: str | None,
) -> QueryResults:
    """What does the work. A single scan needs no process of its own: there is no other scan to go on with."""
    seconds = timeout_s or TIMEOUT_S
    if cluster is not None:
        return on_cluster(job, queries, cluster, seconds)
    if len(queries) == 1 and workers is None and timeout_s is None:
        return in_this_process(Worker(job, loaded), queries)
    return in_processes(job, queries, workers or 1, seconds)
