"""Files that somebody deletes from the server's folder while it runs, and disks that take nothing more."""

import errno
import shutil
import sqlite3

import pytest

from helpers.serving import finished, listening, upload, upload_labels
from psmnet.viewer.service import Service


@pytest.fixture(scope="module")
def deleted(room, phantoms):
    """A scan with labels and a job whose files are gone, and where each was."""
    scan = upload(room.client, phantoms / "image_3.nii.gz")
    labels = upload_labels(room.client, scan["id"], phantoms / "label_3.nii.gz")
    body = {"supports": [room.labels["id"]], "query": scan["id"]}
    job = finished(room.client, room.client.post("/jobs", json=body).json()["id"])
    shutil.rmtree(room.root / "scans" / scan["id"])
    shutil.rmtree(room.root / "jobs" / job["id"])
    return {"SCAN": scan["id"], "LABELS": labels["id"], "JOB": job["id"]}


@pytest.mark.parametrize(
    "path", ["/scans/SCAN/volume", "/labels/LABELS/volume", "/jobs/JOB/files/mask.nii.gz", "/jobs/JOB/matches"]
)
def test_a_file_that_is_missing_is_told(room, deleted, path):
    for word, known in deleted.items():
        path = path.replace(word, known)
    answer = room.client.get(path)
    assert answer.status_code == 410
    assert "is missing on the server" in answer.json()["detail"]
    assert str(room.root) not in answer.text


def test_labels_of_a_missing_scan_are_refused(room, deleted, phantoms):
    content = (phantoms / "label_3.nii.gz").read_bytes()
    answer = room.client.post(f"/scans/{deleted['SCAN']}/labels", params={"name": "l.nii.gz"}, content=content)
    assert answer.status_code == 410
    assert "the file of this scan is missing" in answer.json()["detail"]


def test_a_job_of_a_missing_scan_says_so(room, deleted):
    body = {"supports": [room.labels["id"]], "query": deleted["SCAN"]}
    job = finished(room.client, room.client.post("/jobs", json=body).json()["id"], "failed")
    assert "the file of this scan is missing" in job["error"]


@pytest.mark.parametrize("part", ["viewer.sqlite3", "scans", "incoming"])
def test_a_deleted_database_is_no_full_disk(tmp_path, tiny_weights, phantoms, part):
    with listening(tmp_path / "data", str(tiny_weights)) as client:
        path = tmp_path / "data" / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        content = (phantoms / "image_1.nii.gz").read_bytes()
        answers = [
            client.post("/scans", params={"name": "a.nii.gz"}, content=content),
            client.post("/jobs", json={"supports": ["0" * 16], "query": "0" * 16}),
        ]
    for answer in answers:
        assert answer.status_code == 503
        assert "has been deleted; restart psmnet serve" in answer.json()["detail"]


def full_database():
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free space on the server"),
        (full_database(), "free space on the server"),
        (OSError(errno.EACCES, "Permission denied"), "check the permissions of the server's data folder"),
    ],
)
def test_what_can_not_be_written_is_told_with_its_reason(room, monkeypatch, error, remedy):
    def refused(self):
        raise error

    monkeypatch.setattr(Service, "require_room", refused)
    answer = room.client.post("/scans", params={"name": "a.nii.gz"}, content=b"x")
    assert answer.status_code == 507
    assert answer.json()["detail"].endswith(f"); {remedy}")
