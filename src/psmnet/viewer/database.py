"""Scans, label sets and jobs in SQLite, so that they survive a restart of the server.

It uses the rollback journal, not WAL: a home folder may lie on a network drive, where WAL damages files. Every change
of a job gets the next revision number, so that a watcher can ask for all changes since the last one it has seen.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psmnet.errors import InputError

SCHEMA = """
CREATE TABLE IF NOT EXISTS scans (id TEXT PRIMARY KEY, created REAL NOT NULL, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS labels (id TEXT PRIMARY KEY, scan TEXT NOT NULL, created REAL NOT NULL, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, created REAL NOT NULL, state TEXT NOT NULL, request TEXT NOT NULL, revision INTEGER NOT NULL,
    started REAL, finished REAL, progress REAL NOT NULL DEFAULT 0, stage TEXT NOT NULL DEFAULT '', error TEXT,
    result TEXT, stages TEXT, left_s REAL
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, created);
"""
VERSION = 2
SINCE_1 = ("ALTER TABLE jobs ADD COLUMN stages TEXT", "ALTER TABLE jobs ADD COLUMN left_s REAL")
CHANGED = frozenset({"state", "started", "finished", "progress", "stage", "error", "result", "stages", "left_s"})

StoredRow = dict[str, Any]


def iso(seconds: float | None) -> str | None:
    """A time stamp in ISO 8601, UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Database:
    """One connection, shared by threads that take turns.

    Args:
        path: the file; it is created if missing.

    Raises:
        InputError: it can't be opened, or has another version.
    """

    def __init__(self, path: Path) -> None:
        self._turn = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = DELETE")
            found = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if found == 1:
                for change in SINCE_1:
                    self._connection.execute(change)
            elif found not in (0, VERSION):
                raise InputError(
                    f"{path} has version {found}, but this psmnet reads version {VERSION}",
                    "delete it, or use another folder",
                    code="viewer-database",
                )
            self._connection.executescript(SCHEMA)
            self._connection.execute(f"PRAGMA user_version = {VERSION}")
            newest = self._connection.execute("SELECT MAX(revision) FROM jobs").fetchone()[0]
        except sqlite3.Error as error:
            raise InputError(
                f"can't use {path} ({error})", "delete it, or use another folder", code="viewer-database"
            ) from error
        self.revision: int = newest or 0

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all changes are made, or none."""
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite may have ended it itself, as on a full disk
                    self._connection.execute("ROLLBACK")
                raise

    def _rows(self, text: str, *values: Any) -> list[StoredRow]:
        with self._turn:
            return [dict(row) for row in self._connection.execute(text, values)]

    # ---- scans and their labels ----------------------------------------------------------------------------------

    def add_scan(self, scan_id: str, created: float, facts: StoredRow) -> None:
        """Add a scan."""
        with self._writing() as db:
            db.execute("INSERT INTO scans VALUES (?, ?, ?)", (scan_id, created, json.dumps(facts)))

    def add_labels(self, labels_id: str, scan_id: str, created: float, facts: StoredRow) -> bool:
        """Add a label set; returns False if its scan has been deleted meanwhile."""
        with self._writing() as db:
            if db.execute("SELECT 1 FROM scans WHERE id = ?", (scan_id,)).fetchone() is None:
                return False
            db.execute("INSERT INTO labels VALUES (?, ?, ?, ?)", (labels_id, scan_id, created, json.dumps(facts)))
            return True

    def scans(self) -> list[StoredRow]:
        """All scans, the oldest first."""
        return [_unpacked(row) for row in self._rows("SELECT * FROM scans ORDER BY created, id")]

    def scan(self, scan_id: str) -> StoredRow | None:
        """One scan."""
        return next((_unpacked(row) for row in self._rows("SELECT * FROM scans WHERE id = ?", scan_id)), None)

    def labels(self, labels_id: str) -> StoredRow | None:
        """One label set."""
        return next((_unpacked(row) for row in self._rows("SELECT * FROM labels WHERE id = ?", labels_id)), None)

    def labels_of(self, scan_id: str) -> list[StoredRow]:
        """A scan's label sets, the oldest first."""
        return [_unpacked(r) for r in self._rows("SELECT * FROM labels WHERE scan = ? ORDER BY created, id", scan_id)]

    def remove_scan(self, scan_id: str) -> None:
        """Delete a scan and its labels."""
        with self._writing() as db:
            db.execute("DELETE FROM labels WHERE scan = ?", (scan_id,))
            db.execute("DELETE FROM scans WHERE id = ?", (scan_id,))

    def remove_labels(self, labels_id: str) -> None:
        """Delete a label set."""
        with self._writing() as db:
            db.execute("DELETE FROM labels WHERE id = ?", (labels_id,))

    # ---- jobs ----------------------------------------------------------------------------------------------------

    def add_job(self, job_id: str, created: float, request: StoredRow, most_waiting: int) -> bool:
        """Add a waiting job; returns False if too many wait already."""
        with self._writing() as db:
            if db.execute("SELECT COUNT(*) FROM jobs WHERE state = 'waiting'").fetchone()[0] >= most_waiting:
                return False
            self.revision += 1
            db.execute(
                "INSERT INTO jobs (id, created, state, request, revision) VALUES (?, ?, 'waiting', ?, ?)",
                (job_id, created, json.dumps(request), self.revision),
            )
            return True

    def change_job(self, job_id: str, *, only_if: tuple[str, ...] = (), **changes: Any) -> bool:
        """Change a job.

        Args:
            job_id: the job.
            only_if: change it only in one of these states; in any by default.
            changes: columns and their new values.

        Returns:
            whether there was such a job.
        """
        assert changes.keys() <= CHANGED
        sets = ", ".join(f"{name} = ?" for name in changes)
        states = f" AND state IN ({', '.join('?' * len(only_if))})" if only_if else ""
        with self._writing() as db:
            self.revision += 1
            done = db.execute(
                f"UPDATE jobs SET {sets}, revision = ? WHERE id = ?{states}",
                (*changes.values(), self.revision, job_id, *only_if),
            )
            return done.rowcount > 0

    def jobs(self, newer_than: int = 0) -> list[StoredRow]:
        """Jobs changed after a revision, the oldest first."""
        return self._rows("SELECT * FROM jobs WHERE revision > ? ORDER BY created, id", newer_than)

    def job(self, job_id: str) -> StoredRow | None:
        """One job."""
        return next(iter(self._rows("SELECT * FROM jobs WHERE id = ?", job_id)), None)

    def job_ids(self) -> set[str]:
        """Ids of all jobs."""
        return {row["id"] for row in self._rows("SELECT id FROM jobs")}

    def next_job(self) -> StoredRow | None:
        """The job that has waited longest."""
        rows = self._rows("SELECT * FROM jobs WHERE state = 'waiting' ORDER BY created, id LIMIT 1")
        return next(iter(rows), None)

    def remove_job(self, job_id: str) -> None:
        """Delete a job."""
        with self._writing() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        rows = self._rows("SELECT state, COUNT(*) AS count FROM jobs GROUP BY state")
        return {row["state"]: row["count"] for row in rows}

    def scans_in_use(self) -> set[str]:
        """Scans that waiting and running jobs need."""
        needed: set[str] = set()
        for row in self._rows("SELECT request FROM jobs WHERE state IN ('waiting', 'running')"):
            request = json.loads(row["request"])
            needed.update(filter(None, [request.get("query"), *request.get("scans", ())]))
            wanted = [*request["supports"], *filter(None, [request.get("reference")])]
            needed |= {found["scan"] for one in wanted if (found := self.labels(one)) is not None}
        return needed


def _unpacked(row: StoredRow) -> StoredRow:
    """A row with its JSON unpacked.

    Raises:
        InputError: the JSON is damaged.
    """
    try:
        facts = json.loads(row["facts"])
    except ValueError as error:
        what = f"the viewer's database is damaged ({error})"
        raise InputError(what, "delete it, or use another folder", code="viewer-database") from error
    return {"id": row["id"], "created": row["created"], **facts} | ({"scan": row["scan"]} if "scan" in row else {})
