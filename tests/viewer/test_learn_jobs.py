"""Learnings that are stopped: by a restart of the server, by the user, or for good."""

import os
import shutil
import time

import pytest

from helpers.quick_engine import DyingEngine
from helpers.serving import QUICK, finished, listening, upload, upload_labels
from psmnet.viewer.folder import DataFolder
from psmnet.viewer.limits import Limits
from psmnet.viewer.runner import Engine


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, phantoms):
    """A viewer's folder with a labelled patient and four others, and a learning's request."""
    data = tmp_path_factory.mktemp("learn_jobs") / "data"
    with listening(data, "", engine=Engine()) as client:
        support = upload(client, phantoms / "image_1.nii.gz")
        labels = upload_labels(client, support["id"], phantoms / "label_1.nii.gz")
        for number in range(2, 6):
            upload(client, phantoms / f"image_{number}.nii.gz")
    return data, {"supports": [labels["id"]], "organs": [1]}


@pytest.fixture
def opened(tmp_path, prepared, tiny_weights):
    """Opens a viewer on one folder again and again."""
    shutil.copytree(prepared[0], tmp_path / "data")

    def viewer(limits=None):
        return listening(tmp_path / "data", "", limits, Engine(str(tiny_weights), "cpu", 1, QUICK))

    return viewer


def reached(client, job, name):
    """Wait until a learning is in a stage; returns its job."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        found = client.get(f"/jobs/{job}").json()
        assert found["state"] in ("waiting", "running"), found
        if found["stage"] == name:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{name} is not reached")


@pytest.mark.slow
def test_a_learning_goes_on_after_a_restart_and_its_masks_end_with_their_scans(opened, prepared, tmp_path):
    with opened() as client:
        started = client.post("/learn", json=prepared[1]).json()
        job = started["id"]
        running = reached(client, job, "vote")
        assert running["stages"][0] == {"name": "First masks", "done": 4, "total": 4}
        assert 0.1 < running["progress"] < 0.5
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "data" / "jobs" / job / "work").rglob("first.npz")}
    assert len(made) == 4
    with opened() as client:
        reached(client, job, "vote")
        assert {path: path.stat().st_mtime_ns for path in made} == made
        assert len(finished(client, job)["learned"]["scans"]) == 4
    assert not list((tmp_path / "data" / "jobs" / job).rglob("*.npz"))
    with opened(Limits(keep_hours=1e-7)) as client:
        deadline = time.monotonic() + 60
        while client.get("/scans").json() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.get(f"/jobs/{job}").json()["learned"]["scans"] == []
    left = [path for path in (tmp_path / "data").rglob("*") if any(scan in path.name for scan in started["scans"])]
    assert left == []


def test_a_learning_that_is_cancelled_leaves_nothing_and_everything_can_be_deleted(opened, prepared, tmp_path):
    with opened() as client:
        job = client.post("/learn", json=prepared[1]).json()["id"]
        reached(client, job, "first masks")
        assert client.post(f"/jobs/{job}/cancel").status_code == 200
        assert finished(client, job, "cancelled")["stages"] == []
        assert not (tmp_path / "data" / "jobs" / job).exists()
        job = client.post("/learn", json=prepared[1]).json()["id"]
        reached(client, job, "first masks")
    DataFolder(tmp_path / "data").purge()
    assert {path.name for path in (tmp_path / "data").iterdir()} <= {"psmnet-viewer", "psmnet.lock"}


def test_a_learning_that_takes_too_long_says_what_helps(opened, prepared):
    with opened(Limits(learn_s=0.01)) as client:
        job = client.post("/learn", json=prepared[1]).json()["id"]
        error = finished(client, job, "failed")["error"]
    assert error == "it took longer than 0.01 s; choose fewer organs, crop the scan, or learn from fewer scans"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_learning_whose_process_is_killed_goes_on_once(prepared, tmp_path):
    shutil.copytree(prepared[0], tmp_path / "data")
    with listening(tmp_path / "data", "", engine=DyingEngine(1)) as client:
        job = client.post("/learn", json=prepared[1]).json()["id"]
        assert finished(client, job)["learned"]["seconds"] == 1  # what the first try had made was still there
    with listening(tmp_path / "data", "", engine=DyingEngine(2)) as client:
        job = client.post("/learn", json=prepared[1]).json()["id"]
        error = finished(client, job, "failed")["error"]
    assert error.startswith("its process was killed (SIGKILL): probably out of memory; try again with fewer or smaller")
    assert not (tmp_path / "data" / "jobs" / job).exists()
