"""Where items (scans, as a rule) are worked on: in this process, in several, or on a cluster.

Results come as they finish, and an item that fails does not stop the others.
"""

import os
import queue
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from psmnet.errors import PsmnetError
from psmnet.system.cluster import on_cluster
from psmnet.system.worker_process import Isolated

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEM_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Workers:
    """Who works on many items.

    Attributes:
        count: items at the same time, each in a process of its own; None for one at a time.
        timeout_s: after which an item is given up; None for ITEM_TIMEOUT_S.
        cluster: address of a Dask scheduler whose workers do the work, in place of this machine.
    """

    count: int | None = None
    timeout_s: float | None = None
    cluster: str | None = None

    @property
    def threads(self) -> int | None:
        """CPU threads of each worker when the cores are shared out; None for torch's default."""
        return None if self.count is None else max(1, (os.cpu_count() or 1) // self.count)

    def map(
        self,
        factory: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
        *,
        key: str,
        folder: Path,
        here: Callable[[Item], Result] | None = None,
    ) -> Generator[tuple[Item, Result | PsmnetError]]:
        """Work on items; close the generator to stop, which ends the processes.

        A single item without a time limit is worked on in this process: there is no other item to go on with.

        Args:
            factory: an imported module's class or function (or partial of one), called once in each process; returns
                the work. What can fail belongs into the work.
            items: pickled, as are results. They are paths and settings rather than arrays.
            key: of the factory. A cluster's worker keeps a process only for the same key, and ends that of another.
            folder: that all machines of a cluster must see.
            here: the same work for this process (default: `factory()`).

        Yields:
            (item, result), or (item, error) if it failed.

        Raises:
            InputError: the cluster can't be used.
        """
        seconds = self.timeout_s or ITEM_TIMEOUT_S
        if self.cluster is not None:
            yield from on_cluster(factory, items, self.cluster, seconds, key=key, folder=folder)
        elif len(items) == 1 and self.count is None and self.timeout_s is None:
            yield from in_this_process(here or factory(), items)
        else:
            yield from in_processes(factory, items, self.count or 1, seconds)


ONE_AT_A_TIME = Workers()


def in_this_process(
    work: Callable[[Item], Result], items: Sequence[Item]
) -> Generator[tuple[Item, Result | PsmnetError]]:
    """One item after another, in this process."""
    for item in items:
        try:
            yield item, work(item)
        except PsmnetError as error:
            yield item, error


def in_processes(
    factory: Callable[[], Callable[[Item], Result]], items: Sequence[Item], count: int, timeout_s: float
) -> Generator[tuple[Item, Result | PsmnetError]]:
    """Several items at the same time; one that hangs or kills its process is an error, and the others go on."""
    with ExitStack() as stack:
        free: queue.SimpleQueue[Isolated[Item, Result]] = queue.SimpleQueue()
        for _ in range(min(count, len(items))):
            free.put(stack.enter_context(Isolated(factory)))

        def work(item: Item) -> Result | PsmnetError:
            process = free.get()
            try:
                return process.run(item, timeout_s)
            except PsmnetError as error:
                return error
            finally:
                free.put(process)

        pool = ThreadPoolExecutor(count)
        # Callbacks run in reverse order: an interruption first stops new work, then ends processes, then threads.
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
