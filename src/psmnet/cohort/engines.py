"""Where queries are segmented: in this process or in several. Each engine yields queries as they finish."""

import queue
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from functools import partial

from psmnet.cohort.job import CohortJob
from psmnet.cohort.worker import Done, Worker
from psmnet.errors import PsmnetError
from psmnet.io import Query
from psmnet.system import Isolated

QueryResults = Generator[tuple[Query, Done | PsmnetError]]


def in_this_process(worker: Worker, queries: Sequence[Query]) -> QueryResults:
    """One query after another, in this process."""
    for query in queries:
        try:
            yield query, worker(query)
        except PsmnetError as error:
            yield query, error


def in_processes(job: CohortJob, queries: Sequence[Query], workers: int, timeout_s: float) -> QueryResults:
    """Several queries at the same time; one that hangs or kills its process is an error, and the others go on."""
    with ExitStack() as stack:
        free: queue.SimpleQueue[Isolated[Query, Done]] = queue.SimpleQueue()
        for _ in range(min(workers, len(queries))):
            free.put(stack.enter_context(Isolated(partial(Worker, job))))

        def work(query: Query) -> Done | PsmnetError:
            worker = free.get()
            try:
                return worker.run(query, timeout_s)
            except PsmnetError as error:
                return error
            finally:
                free.put(worker)

        pool = ThreadPoolExecutor(workers)
        # Callbacks run in reverse order: an interruption first stops new work, then ends processes, then threads.
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        futures = {pool.submit(work, query): query for query in queries}
        for future in as_completed(futures):
            yield futures[future], future.result()
