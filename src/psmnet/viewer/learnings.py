"""Learnings from all scans, without HTTP: what they need, their files, and what is left when a scan is deleted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psmnet.errors import InputError
from psmnet.learning import FEWEST
from psmnet.system import counted
from psmnet.viewer import schemas
from psmnet.viewer.database import Database, StoredRow
from psmnet.viewer.folder import DataFolder, existing
from psmnet.viewer.jobs import LEARN
from psmnet.viewer.learn_files import REPORT, drop_scan, network_files, scan_files
from psmnet.viewer.limits import Limits
from psmnet.viewer.refusals import NotFound, TooMany


class Learnings:
    """What a viewer's service needs to know of its learnings.

    Args:
        database, folder, limits: the viewer's.
    """

    def __init__(self, database: Database, folder: DataFolder, limits: Limits) -> None:
        self._database, self._folder, self._limits = database, folder, limits

    def checked(self, request: schemas.LearnRequest, supports: list[schemas.LabelSet]) -> StoredRow:
        """A request as it is stored, with the scans to learn from.

        Args:
            request: as it came.
            supports: its label sets.

        Raises:
            NotFound: a scan that is not there.
            InputError: two label sets of one scan, a scan that has labels, or too few scans.
            TooMany: too many scans.
        """
        labelled = [labels.scan for labels in supports]
        if len(set(labelled)) < len(labelled):
            raise InputError("two of the label sets belong to one scan", "give one of each labelled scan")
        there = {row["id"]: self._database.labels_of(row["id"]) for row in self._database.scans()}
        scans = list(there) if request.scans is None else list(dict.fromkeys(request.scans))
        if lost := [scan for scan in scans if scan not in there]:
            raise NotFound(f"scan {lost[0]} does not exist", "it may have been deleted")
        unlabelled = [scan for scan in scans if not there[scan]]
        if request.scans is not None and len(unlabelled) < len(scans):
            scan = next(scan for scan in scans if there[scan])
            raise InputError(
                f"scan {scan} has labels, and only scans without labels are learned from as such",
                "leave it out, or give its labels as a support",
            )
        if (missing := FEWEST - len(unlabelled)) > 0:
            raise InputError(
                f"there are {counted(len(unlabelled), 'scan')} without labels, and learning needs {FEWEST}",
                f"add {missing} more",
            )
        if len(unlabelled) > self._limits.learn_scans:
            raise TooMany(
                f"there are {len(unlabelled)} scans without labels", f"learn from {self._limits.learn_scans} at most"
            )
        scans_of = {"scans": unlabelled, "labelled": labelled}
        return {"kind": LEARN, "supports": request.supports, "organs": request.organs, **scans_of}

    def file(self, job: schemas.QueuedJob, name: str, scan_id: str | None = None) -> Path:
        """A file of a learning, or of one of its scans.

        Raises:
            NotFound: there is no file of this name.
            Gone: somebody has deleted it.
        """
        out, found = self._folder.job(job.id), job.learned
        of_scan = None if found is None else next((one for one in found.scans if one.scan == scan_id), None)
        names = of_scan.files if of_scan is not None else found.files if found and scan_id is None else []
        if name not in names:
            raise NotFound("the job has no such file", "see learned.files, and files of each scan")
        files = network_files(out) if scan_id is None else scan_files(out, scan_id)
        return existing(files[name], "result")

    def forget(self, scan_id: str) -> bool:
        """Delete what learnings keep of a scan; returns whether there was something."""
        changed = False
        for job_id, request, result in self._finished():
            if scan_id not in (*request["scans"], *request["labelled"]):
                continue
            for part in ("scans", "left_out"):
                result[part] = [one for one in result[part] if one["scan"] != scan_id]
            result["files"] = [name for name in result["files"] if name != REPORT]
            drop_scan(self._folder.job(job_id), scan_id)
            self._database.change_job(job_id, result=json.dumps(result))
            changed = True
        return changed

    def _finished(self) -> Iterator[tuple[str, StoredRow, dict[str, Any]]]:
        for row in self._database.jobs():
            request = json.loads(row["request"])
            if request.get("kind") == LEARN and row["result"] is not None:
                yield row["id"], request, json.loads(row["result"])


def found_organs(job: schemas.QueuedJob, scan_id: str) -> list[schemas.FoundOrgan] | None:
    """Organs of a job's mask of a scan; None if it has made none."""
    if job.learned is not None:
        return next((one.organs for one in job.learned.scans if one.scan == scan_id), None)
    return job.result.organs if job.result is not None and job.query == scan_id else None


def stored_parts(row: StoredRow) -> dict[str, Any]:
    """What a row tells of a job beside its times and its state: request, stages and result."""
    request: dict[str, Any] = {"kind": "segment", **json.loads(row["request"])}
    result = None if row["result"] is None else json.loads(row["result"])
    learned = request["kind"] == LEARN
    return {
        **request,
        "stages": json.loads(row["stages"] or "[]"),
        "left_s": row["left_s"],
        "result": None if learned else result,
        "learned": result if learned else None,
    }
