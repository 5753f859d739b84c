"""The queue: one job at a time, in a process of its own; queued jobs survive a restart of the server."""

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from psmnet.errors import InputError, PsmnetError
from psmnet.system import Isolated, read_json
from psmnet.viewer.database import Database, StoredRow
from psmnet.viewer.folder import DataFolder, existing, remove
from psmnet.viewer.intake import LABELS_NAME
from psmnet.viewer.learn_files import drop_unused
from psmnet.viewer.limits import Limits
from psmnet.viewer.refusals import public_message, without_server_names
from psmnet.viewer.runner import Engine
from psmnet.viewer.task import PROGRESS, LabelledPaths, LearnTask, Task

log = logging.getLogger(__name__)

IDLE_S = 30.0  # between housekeepings while nothing else happens
RETRY_S = 2.0  # after something went wrong with the queue itself
LEARN = "learn"  # kind of a request
LOOK_S = 0.2  # between looks at how far a job is
OPEN = ("waiting", "running")
NO_STAGES: dict[str, Any] = {"stages": None, "left_s": None}


class JobQueue:
    """Runs jobs in the order in which they came.

    Args:
        database, folder, limits: the viewer's.
        engine: how jobs are run.
        announce: called after every change of a job.
        housekeeping: called now and then, and after every job.
    """

    def __init__(
        self,
        database: Database,
        folder: DataFolder,
        limits: Limits,
        engine: Engine,
        announce: Callable[[], None],
        housekeeping: Callable[[], None],
    ) -> None:
        self._database = database
        self._folder = folder
        self._limits = limits
        self._announce = announce
        self._housekeeping = housekeeping
        self._worker: Isolated[Task | LearnTask, dict[str, Any]] = Isolated(engine.runner)
        self._current: str | None = None
        self._cancelled: set[str] = set()
        self._tried_again: set[str] = set()
        self._turn = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def start(self) -> None:
        """Start; jobs that an earlier server left unfinished come first."""
        self._let_wait_again()
        self._thread.start()

    def stop(self) -> None:
        """Stop at once; the running job is run again by the next server."""
        self._stopping = True
        self._wake.set()
        self._worker.close()
        self._thread.join()

    def wake(self) -> None:
        """Look for a waiting job now."""
        self._wake.set()

    def cancel(self, job_id: str) -> None:
        """Cancel a waiting or running job; one that has ended stays as it is."""
        over = {"state": "cancelled", "finished": time.time(), "stage": ""}
        if self._change(job_id, only_if=("waiting",), **over):
            return
        with self._turn:
            row = self._database.job(job_id)
            if row is None or row["state"] != "running":
                return
            self._cancelled.add(job_id)
            if self._current == job_id:
                self._worker.close()

    def _work(self) -> None:
        while not self._stopping:
            try:
                self._work_on()
            except Exception as error:  # such as a full disk: the queue goes on afterwards
                if not self._stopping:
                    log.error("the queue was held up: %s: %s", type(error).__name__, error)
                    self._recover()
                    self._wake.wait(RETRY_S)

    def _recover(self) -> None:
        """Let what was at work wait again, as after a restart; if that can't be noted either, the next try does it."""
        self._current = None
        self._worker.close()
        with contextlib.suppress(Exception):
            self._let_wait_again()

    def _let_wait_again(self) -> None:
        for row in self._database.jobs():
            if row["state"] == "running":
                self._change(row["id"], state="waiting", started=None, progress=0.0, stage="", **NO_STAGES)

    def _work_on(self) -> None:
        """Run jobs until the server ends."""
        self._let_wait_again()
        while not self._stopping:
            row = self._database.next_job()
            if row is None:
                self._housekeeping()
                self._wake.wait(IDLE_S)
                self._wake.clear()
                continue
            if self._change(row["id"], only_if=("waiting",), state="running", started=time.time(), stage="starting"):
                self._do(row)
                self._housekeeping()

    def _do(self, row: StoredRow) -> None:
        job_id, request = row["id"], json.loads(row["request"])
        isa_learning, died = request.get("kind") == LEARN, False
        with self._turn:
            self._current = job_id
        try:
            task = self._learn_task(job_id, request) if isa_learning else self._task(job_id, request)
            if job_id in self._cancelled:
                raise InputError("the job was cancelled", "start it again")
            with self._followed(job_id):
                result = self._worker.run(task, self._limits.learn_s if isa_learning else self._limits.job_s)
            self._without_server_names(result)
            change: dict[str, Any] = {"state": "done", "progress": 1.0, "result": json.dumps(result)}
        except PsmnetError as error:
            died = error.code == "process-died"
            change = {"state": "failed", "error": public_message(error, self._folder.root)}
        with self._turn:
            self._current = None
            given_up = job_id in self._cancelled
            self._cancelled.discard(job_id)
        if self._stopping:
            return  # it stays "running": the next server runs it again
        if isa_learning and died and not given_up and job_id not in self._tried_again:
            self._tried_again.add(job_id)  # once: it goes on where it was killed
            self._change(job_id, state="waiting", started=None, stage="", **NO_STAGES)
            return
        if given_up:
            change = {"state": "cancelled"}
        if change["state"] != "done":
            remove(self._folder.job(job_id))
        self._change(job_id, stage="", finished=time.time(), **change, **NO_STAGES)
        if isa_learning:
            drop_unused(self._folder.job(job_id))

    def _without_server_names(self, result: dict[str, Any]) -> None:
        """Take paths and file names of the server out of a result's remarks."""
        for part in (result, *result.get("scans", ())):
            part["notes"] = [without_server_names(note, self._folder.root) for note in part["notes"]]
        for one in result.get("left_out", ()):
            one["reason"] = without_server_names(one["reason"], self._folder.root)

    def _task(self, job_id: str, request: StoredRow) -> Task:
        return Task(
            supports=tuple(self._labelled(labels_id) for labels_id in request["supports"]),
            organs=tuple(request["organs"]) if request["organs"] else None,
            query=self._source(request["query"]),
            reference=self._labelled(request["reference"], name_all=True) if request["reference"] else None,
            out=self._folder.job(job_id),
        )

    def _learn_task(self, job_id: str, request: StoredRow) -> LearnTask:
        supports = tuple(self._labelled(labels_id) for labels_id in request["supports"])
        known = {row["id"]: row["name"] for row in self._database.scans()}
        return LearnTask(
            supports=supports,
            organs=tuple(request["organs"]) if request["organs"] else None,
            scans={scan_id: self._source(scan_id) for scan_id in request["scans"]},
            names={
                scan_id: known[scan_id] for scan_id in (*request["scans"], *request["labelled"]) if scan_id in known
            },
            out=self._folder.job(job_id),
            most_bytes=self._limits.stored_bytes,
        )

    def _labelled(self, labels_id: str, name_all: bool = False) -> LabelledPaths:
        """A label set's files and names; with `name_all` the names, too, that unnamed values are shown by."""
        facts = self._database.labels(labels_id)
        if facts is None:
            raise InputError("the labelled scan has been deleted", "choose another one")
        names = {organ["value"]: organ["name"] for organ in facts["organs"]} if facts["named"] or name_all else {}
        labels = existing(self._folder.labels(facts["scan"], labels_id) / LABELS_NAME, "label set")
        return LabelledPaths(self._source(facts["scan"]), labels, names)

    def _source(self, scan_id: str) -> Any:
        facts = self._database.scan(scan_id)
        if facts is None:
            raise InputError("the scan has been deleted", "upload it again")
        return existing(self._folder.scan(scan_id) / facts["source"], "scan")

    @contextlib.contextmanager
    def _followed(self, job_id: str) -> Iterator[None]:
        """Report a job's progress while it runs."""
        over = threading.Event()
        path = self._folder.job(job_id) / PROGRESS

        def follow() -> None:
            before = None
            while not over.wait(LOOK_S):
                if job_id in self._cancelled:  # as its process was being started
                    self._worker.close()
                with contextlib.suppress(InputError, sqlite3.Error):  # not there yet; a full disk
                    found = read_json(path)
                    if found != before:
                        stages = {"stages": json.dumps(found["stages"])} if "stages" in found else {}
                        self._change(job_id, only_if=("running",), **found | stages)
                        before = found

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _change(self, job_id: str, *, only_if: tuple[str, ...] = (), **changes: Any) -> bool:
        changed = self._database.change_job(job_id, only_if=only_if, **changes)
        if changed:
            self._announce()
        return changed
