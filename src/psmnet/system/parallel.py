"""The same work on many cases in parallel processes; a case that fails doesn't stop the others."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TypeVar

from psmnet.errors import PsmnetError
from psmnet.runtime import keep_memory
from psmnet.system.process_errors import MAIN_GUARD, out_of_memory, process_died, unusable

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_cases(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int = 1
) -> Iterator[tuple[Item, Result | PsmnetError]]:
    """Do `work` on each item and yield the item with its result, in the order in which they finish.

    Args:
        work: a module's function (or partial of one); its argument and result are pickled. It should write large
            results itself, so that memory doesn't grow with the number of items.
        items: cases.
        jobs: number of processes. 1 works in this process; more are spawned, so a script needs
            `if __name__ == "__main__"`.

    Yields:
        (item, result), or (item, error) if the case failed.
    """
    jobs = min(jobs, len(items))
    if jobs <= 1:
        for item in items:
            yield item, _attempt(work, item)
        return
    # Not forked: threads of this process (progress, ITK) may hold locks that no thread of the fork would release.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_prepare_worker)
    try:
        with _ignoring_ctrl_c():  # processes started here inherit it, from their first moment on
            futures: dict[Future[Result | PsmnetError], Item] = {
                pool.submit(_attempt, work, item): item for item in items
            }
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                died = process_died("a process", "run again with jobs=1", also=(MAIN_GUARD,), code="jobs")
                yield futures[future], died
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(work: Callable[[Item], Result], item: Item) -> Result | PsmnetError:
    try:
        return work(item)
    except PsmnetError as error:
        return error
    except MemoryError:
        return out_of_memory("run again with jobs=1, or on a larger machine", code="jobs-memory")
    except OSError as error:
        return unusable(error, error.filename, "check paths, permissions and free space")


@contextlib.contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, which lets running cases finish, and end when the parent is killed.

    A pool's workers would otherwise wait for work without end.
    """
    keep_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
