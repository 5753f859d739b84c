"""The viewer without HTTP: scans, labels and jobs, and when they are deleted."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from psmnet.errors import InputError
from psmnet.report import css_colour
from psmnet.runtime import package_version
from psmnet.system import Isolated
from psmnet.viewer import intake, schemas
from psmnet.viewer.changes import Changes
from psmnet.viewer.database import Database, StoredRow, iso
from psmnet.viewer.folder import DataFolder, existing, new_id, remove, size_of
from psmnet.viewer.jobs import LEARN, OPEN, JobQueue
from psmnet.viewer.learnings import Learnings, found_organs, stored_parts
from psmnet.viewer.limits import Limits
from psmnet.viewer.refusals import InUse, NotFound, TooMany, without_server_names
from psmnet.viewer.runner import Engine, files_of, matches_file, matches_of

SAMPLES = 3
SAMPLE_SEED = 2026


class Service:
    """Scans, labels and jobs of a viewer; methods may be called from any thread.

    Args:
        folder: its data; the caller holds the lock.
        limits: of uploads and results.
        engine: how jobs are run.
    """

    def __init__(self, folder: DataFolder, limits: Limits, engine: Engine) -> None:
        self.folder = folder
        self.limits = limits
        self.engine = engine
        self.changes = Changes()
        self.database = Database(folder.database)
        self.learnings = Learnings(self.database, folder, limits)
        self._intake: Isolated[intake.Ask, intake.Facts] = Isolated(partial(intake.setup, limits))
        self._intake_turn = threading.Lock()
        self.uploads = ThreadPoolExecutor(4, "intake")  # uploads that wait for their turn block no other request
        self._queue = JobQueue(self.database, folder, limits, engine, self.changes.announce, self.tidy)

    def start(self) -> None:
        """Start the queue."""
        for leftover in (self.folder.root / "incoming").iterdir():
            leftover.unlink()
        self._sweep()
        self._queue.start()

    def stop(self) -> None:
        """Stop the queue; its jobs are kept."""
        self._queue.stop()

    def close(self) -> None:
        """Release processes, threads and the database."""
        self._intake.close()
        self.uploads.shutdown()
        self.database.close()

    # ---- scans ---------------------------------------------------------------------------------------------------

    def scans(self) -> list[schemas.StoredScan]:
        """All scans, the oldest first."""
        return [self._scan_info(row) for row in self.database.scans()]

    def scan(self, scan_id: str) -> schemas.StoredScan:
        """One scan."""
        return self._scan_info(self._scan(scan_id))

    def require_room(self) -> None:
        """Refuse an upload if there is no room for it.

        Raises:
            TooMany: there are too many scans or bytes.
            Incomplete: the data folder has been deleted.
        """
        self.folder.require_whole()
        if len(self.database.scans()) >= self.limits.scans:
            raise TooMany(f"there are {self.limits.scans} scans already", "delete some scans")
        if size_of(self.folder.root / "scans") > self.limits.stored_bytes:
            raise TooMany(f"uploads fill {self.limits.stored_bytes >> 30} GiB", "delete some scans")

    def add_scan(self, received: Path, name: str) -> schemas.StoredScan:
        """Add a scan.

        Raises:
            PsmnetError: it can't be used.
        """
        scan_id = new_id()
        folder = self.folder.scan(scan_id)
        name = intake.printable(name)
        facts = self._run_intake(intake.TakeScan(received, name, folder, self.limits), folder)
        self.database.add_scan(scan_id, time.time(), facts | {"sample": False})
        return self.scan(scan_id)

    def add_labels(
        self, scan_id: str, received: Path, name: str, corrects: str | None = None, values: tuple[int, ...] = ()
    ) -> schemas.LabelSet:
        """Add labels to a scan.

        Args:
            scan_id: the scan.
            received: the file.
            name: the user's name for it.
            corrects: the job whose mask was corrected, if any.
            values: label values of voxels 1, 2, ... of a corrected mask.

        Raises:
            PsmnetError: they can't be used.
        """
        scan = self._scan(scan_id)
        if len(self.database.labels_of(scan_id)) >= self.limits.label_sets:
            raise TooMany(f"the scan has {self.limits.label_sets} label sets", "delete some")
        names: dict[int, str] = {}
        if corrects is not None:
            organs = found_organs(self.job(corrects), scan_id)
            if organs is None:
                raise InputError("this job has no mask of this scan", "correct a finished job of this scan")
            names = {organ.value: organ.name for organ in organs}
            if not set(values) <= names.keys():
                raise InputError(
                    f"values {sorted(set(values) - names.keys())} are not organs of this job", "leave them out"
                )
        labels_id = new_id()
        folder = self.folder.labels(scan_id, labels_id)
        source = existing(self.folder.scan(scan_id) / scan["source"], "scan")
        ask = intake.TakeLabels(
            received, intake.printable(name), source, folder, self.limits, values if corrects else None, names
        )
        facts = self._run_intake(ask, folder) | {"origin": "corrected" if corrects else "upload"}
        if not self.database.add_labels(labels_id, scan_id, time.time(), facts):
            shutil.rmtree(folder, ignore_errors=True)
            raise NotFound("the scan has been deleted meanwhile", "upload it again")
        return self.labels(labels_id)

    def add_samples(self) -> list[schemas.StoredScan]:
        """Add the synthetic patients that are not there yet; returns all of them."""
        there = {row["name"]: row["id"] for row in self.database.scans() if row["sample"]}
        for number in range(SAMPLES):
            name = f"patient {number + 1}"
            if name in there:
                continue
            scan_id, labels_id = new_id(), new_id()
            folder, labels_folder = self.folder.scan(scan_id), self.folder.labels(scan_id, labels_id)
            ask = intake.DrawSample(SAMPLE_SEED + number, name, folder, labels_folder)
            facts = self._run_intake(ask, folder, labels_folder)
            labels, now = facts.pop("labels"), time.time()
            self.database.add_scan(scan_id, now, facts | {"sample": True})
            self.database.add_labels(labels_id, scan_id, now, labels | {"origin": "sample", "notes": []})
            there[name] = scan_id
        return [self.scan(there[name]) for name in sorted(there)]

    def labels(self, labels_id: str) -> schemas.LabelSet:
        """One label set."""
        row = self.database.labels(labels_id)
        if row is None:
            raise NotFound(f"label set {labels_id} does not exist", "it may have been deleted")
        return _label_set(row)

    def remove_scan(self, scan_id: str) -> None:
        """Delete a scan and its labels, unless a job still needs it."""
        self._scan(scan_id)
        if scan_id in self.database.scans_in_use():
            raise InUse("a job still needs this scan", "wait for it, or cancel it")
        self._forget(scan_id)

    def _forget(self, scan_id: str) -> None:
        """Delete a scan, its labels, and what learnings keep of it."""
        if self.learnings.forget(scan_id):
            self.changes.announce()
        self.database.remove_scan(scan_id)
        shutil.rmtree(self.folder.scan(scan_id), ignore_errors=True)

    def remove_labels(self, labels_id: str) -> None:
        """Delete a label set, unless a job still needs its scan."""
        labels = self.labels(labels_id)
        if labels.scan in self.database.scans_in_use():
            raise InUse("a job still needs these labels", "wait for it, or cancel it")
        self.database.remove_labels(labels_id)
        shutil.rmtree(self.folder.labels(labels.scan, labels_id), ignore_errors=True)

    def view(self, scan_id: str) -> Path:
        """A scan as the file that the page shows.

        Raises:
            Gone: somebody has deleted it.
        """
        self._scan(scan_id)
        return existing(self.folder.scan(scan_id) / intake.VIEW_NAME, "scan")

    def labels_file(self, labels_id: str) -> Path:
        """The file of a label set.

        Raises:
            Gone: somebody has deleted it.
        """
        return existing(self.folder.labels(self.labels(labels_id).scan, labels_id) / intake.LABELS_NAME, "label set")

    # ---- jobs ----------------------------------------------------------------------------------------------------

    def jobs(self, newer_than: int = 0) -> list[schemas.QueuedJob]:
        """Jobs that were changed after a revision, the oldest first."""
        return [_job(row) for row in self.database.jobs(newer_than)]

    def job(self, job_id: str) -> schemas.QueuedJob:
        """One job."""
        row = self.database.job(job_id)
        if row is None:
            raise NotFound(f"job {job_id} does not exist", "it may have been deleted")
        return _job(row)

    def add_job(self, request: schemas.JobRequest) -> schemas.QueuedJob:
        """Add a job to the queue.

        Raises:
            NotFound: a scan or label set that is not there.
            InputError: supports that are all the query's own, or a reference of another scan.
            TooMany: too many jobs wait already.
        """
        self.folder.require_whole()
        self._scan(request.query)
        labelled_scans = {self.labels(labels_id).scan for labels_id in request.supports}
        if labelled_scans == {request.query}:
            raise InputError("the scan can't be segmented from its own labels only", "choose another scan")
        if request.reference in request.supports:
            raise InputError("the reference is among the labelled scans", "compare with other labels")
        if request.reference is not None and self.labels(request.reference).scan != request.query:
            raise InputError("the reference belongs to another scan", "give labels of the scan to segment")
        self._require_organs(request)
        return self._queued(request.model_dump())

    def add_learning(self, request: schemas.LearnRequest) -> schemas.QueuedJob:
        """Add a learning from labelled and unlabelled scans to the queue.

        Raises:
            NotFound: a scan or label set that is not there.
            InputError: the scans can't be learned from.
            TooMany: too many jobs wait already, or there are too many scans.
        """
        self.folder.require_whole()
        supports = [self.labels(labels_id) for labels_id in request.supports]
        self._require_organs(request)
        return self._queued(self.learnings.checked(request, supports))

    def _require_organs(self, request: schemas.JobRequest | schemas.LearnRequest) -> None:
        there = {organ.value for labels_id in request.supports for organ in self.labels(labels_id).organs}
        if unknown := set(request.organs or ()) - there:
            raise InputError(f"no labelled scan has {sorted(unknown)}", f"choose organs of {sorted(there)}")

    def _queued(self, request: StoredRow) -> schemas.QueuedJob:
        job_id = new_id()
        if not self.database.add_job(job_id, time.time(), request, self.limits.waiting):
            raise TooMany(f"{self.limits.waiting} jobs wait already", "wait until some are done, or cancel some")
        self.changes.announce()
        self._queue.wake()
        return self.job(job_id)

    def cancel(self, job_id: str) -> schemas.QueuedJob:
        """Cancel a job."""
        self.job(job_id)
        self._queue.cancel(job_id)
        return self.job(job_id)

    def remove_job(self, job_id: str) -> None:
        """Delete a job and its results."""
        self.cancel(job_id)
        self.database.remove_job(job_id)
        remove(self.folder.job(job_id))
        self.changes.announce()

    def file(self, job_id: str, name: str, scan_id: str | None = None) -> Path:
        """A file of a job's result; of a learning one of the whole, or of one of its scans.

        Raises:
            NotFound: the job has no file of this name.
            Gone: somebody has deleted it.
        """
        job = self.job(job_id)
        if job.learned is not None or scan_id is not None:
            return self.learnings.file(job, name, scan_id)
        if job.result is None or name not in job.result.files:
            raise NotFound("the job has no such file", "see result.files")
        return existing(files_of(self.folder.job(job_id))[name], "result")

    def matches(self, job_id: str) -> schemas.Matches:
        """The labelled slices with which each slice of the query was compared."""
        job = self.job(job_id)
        if job.kind == LEARN:
            raise NotFound("a learning compares no slices", "ask for the matches of another job")
        if job.result is None:
            raise NotFound(f"the job is {job.state}", "wait until it is done")
        existing(matches_file(self.folder.job(job_id)), "result")
        return schemas.Matches.model_validate(matches_of(self.folder.job(job_id), job.supports))

    def health(self) -> schemas.Health:
        """State of the server."""
        counts = self.database.counts()
        return schemas.Health(
            status="ok",
            version=package_version(),
            device=self.engine.device,
            waiting=counts.get("waiting", 0),
            running=counts.get("running", 0),
            stored_bytes=size_of(self.folder.root),
            limit_bytes=2 * self.limits.stored_bytes,
        )

    # ---- deletion ------------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Delete uploads that are too old, and the oldest results if all take too much space."""
        oldest, needed = time.time() - 3600 * self.limits.keep_hours, self.database.scans_in_use()
        for row in self.database.scans():
            if row["created"] < oldest and row["id"] not in needed:
                self._forget(row["id"])
        over = [row for row in self.database.jobs() if row["state"] not in OPEN]
        sizes = {row["id"]: size_of(self.folder.job(row["id"])) for row in over}
        total = sum(sizes.values())
        for row in over[:-1]:  # the newest stays, however large
            if total <= self.limits.stored_bytes:
                break
            total -= sizes[row["id"]]
            self.remove_job(row["id"])

    def _sweep(self) -> None:
        """Delete folders that a killed server left without a row in the database."""
        for kind, known in (("scans", self.database.scans()), ("jobs", self.database.jobs())):
            ids = {row["id"] for row in known}
            for path in (self.folder.root / kind).iterdir():
                if path.name not in ids:
                    shutil.rmtree(path, ignore_errors=True)

    def _run_intake(self, ask: intake.Ask, *folders: Path) -> StoredRow:
        """Run a task of the intake process that writes into new folders; they are deleted if it fails."""
        try:
            for folder in folders:
                folder.mkdir(parents=True, mode=0o700)
            with self._intake_turn:
                facts = self._intake.run(ask, self.limits.intake_s)
            return facts | {"notes": [without_server_names(note, self.folder.root) for note in facts["notes"]]}
        except BaseException:
            shutil.rmtree(folders[0], ignore_errors=True)
            raise

    def _scan(self, scan_id: str) -> StoredRow:
        row = self.database.scan(scan_id)
        if row is None:
            raise NotFound(f"scan {scan_id} does not exist", "it may have been deleted")
        return row

    def _scan_info(self, row: StoredRow) -> schemas.StoredScan:
        return schemas.StoredScan(
            **{name: row[name] for name in ("id", "name", "size", "spacing_mm", "modality", "sample", "notes")},
            created=str(iso(row["created"])),
            expires=iso(row["created"] + 3600 * self.limits.keep_hours),
            labels=[_label_set(labels) for labels in self.database.labels_of(row["id"])],
        )


def _label_set(row: StoredRow) -> schemas.LabelSet:
    organs = [schemas.NamedOrgan(**organ, colour=css_colour(organ["value"])) for organ in row["organs"]]
    facts: dict[str, Any] = {name: row[name] for name in ("id", "scan", "name", "origin", "notes")}
    return schemas.LabelSet(**facts, organs=organs, created=str(iso(row["created"])))


def _job(row: StoredRow) -> schemas.QueuedJob:
    facts: dict[str, Any] = {name: row[name] for name in ("id", "state", "progress", "stage", "error")}
    times: dict[str, Any] = {name: iso(row[name]) for name in ("created", "started", "finished")}
    return schemas.QueuedJob.model_validate({**facts, **times, **stored_parts(row)})
