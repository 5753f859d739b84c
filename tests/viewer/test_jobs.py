"""The queue: its order, what is given up, what outlives the server, and what is seen of it meanwhile."""

import json
import shutil
import sqlite3
import threading
import time
from itertools import pairwise

import pytest

from helpers.quick_engine import QuickEngine
from helpers.serving import finished, listening, upload, upload_labels
from psmnet.viewer.database import Database
from psmnet.viewer.folder import size_of
from psmnet.viewer.limits import Limits

SLOW = QuickEngine(1.0)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, phantoms):
    """A viewer's folder with a labelled scan and another, and a job for them."""
    data = tmp_path_factory.mktemp("jobs") / "data"
    with listening(data, "", engine=QuickEngine()) as client:
        support = upload(client, phantoms / "image_1.nii.gz")
        labels = upload_labels(client, support["id"], phantoms / "label_1.nii.gz")
        query = upload(client, phantoms / "image_2.nii.gz")
    return data, {"supports": [labels["id"]], "query": query["id"]}


@pytest.fixture
def furnished(tmp_path, prepared):
    """Opens a viewer on one folder again and again."""
    data, body = prepared
    shutil.copytree(data, tmp_path / "data")

    def opened(limits=None, engine=QuickEngine()):  # noqa: B008  # it is frozen
        return listening(tmp_path / "data", "", limits, engine)

    return opened, body


def asked(client, body):
    return client.post("/jobs", json=body).json()["id"]


def states(client):
    return {job["id"]: job["state"] for job in client.get("/jobs").json()}


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_jobs_are_done_one_after_another(furnished):
    opened, body = furnished
    with opened() as client:
        jobs = [asked(client, body) for _ in range(3)]
        ends = [finished(client, job) for job in jobs]
    for before, after in pairwise(ends):
        assert before["finished"] <= after["started"]


def test_a_waiting_job_is_given_up(furnished):
    opened, body = furnished
    with opened(engine=SLOW) as client:
        first, second = asked(client, body), asked(client, body)
        assert client.post(f"/jobs/{second}/cancel").json()["state"] == "cancelled"
        finished(client, first)
        assert states(client)[second] == "cancelled"


def test_a_running_job_is_given_up_at_once_and_the_next_is_done(furnished):
    opened, body = furnished
    with opened(engine=SLOW) as client:
        first, second = asked(client, body), asked(client, body)
        until(lambda: states(client)[first] == "running")
        client.post(f"/jobs/{first}/cancel")
        given_up = finished(client, first, "cancelled")
        assert given_up["result"] is None
        assert finished(client, second)["result"]["organs"]


def test_giving_up_what_is_over_changes_nothing(furnished):
    opened, body = furnished
    with opened() as client:
        job = asked(client, body)
        done = finished(client, job)
        assert client.post(f"/jobs/{job}/cancel").json() == done


def test_a_server_that_ends_leaves_its_jobs_to_the_next(furnished):
    opened, body = furnished
    with opened(engine=SLOW) as client:
        jobs = [asked(client, body) for _ in range(2)]
        until(lambda: states(client)[jobs[0]] == "running")
    with opened() as client:
        assert [finished(client, job)["state"] for job in jobs] == ["done", "done"]


def test_a_job_that_takes_too_long_fails_and_the_next_is_done(furnished):
    opened, body = furnished
    with opened(Limits(job_s=0.5), SLOW) as client:
        job = asked(client, body)
        assert "longer than 0.5 s" in finished(client, job, "failed")["error"]


def test_a_full_disk_holds_the_queue_up_and_does_not_end_it(furnished, monkeypatch):
    opened, body = furnished
    change, full = Database.change_job, threading.Event()

    def refused(self, job_id, **changes):
        if full.is_set() and threading.current_thread().name == "jobs":
            raise sqlite3.OperationalError("database or disk is full")
        return change(self, job_id, **changes)

    monkeypatch.setattr(Database, "change_job", refused)
    monkeypatch.setattr("psmnet.viewer.jobs.RETRY_S", 0.1)
    with opened() as client:
        full.set()
        job = asked(client, body)
        time.sleep(0.5)
        assert states(client)[job] == "waiting"
        full.clear()
        assert finished(client, job)["result"]["organs"]


def test_deleting_a_job_deletes_what_it_made(furnished, tmp_path):
    opened, body = furnished
    with opened() as client:
        job = asked(client, body)
        finished(client, job)
        assert (tmp_path / "data" / "jobs" / job).is_dir()
        assert client.delete(f"/jobs/{job}").status_code == 204
        assert not (tmp_path / "data" / "jobs" / job).exists()
        assert client.get(f"/jobs/{job}").status_code == 404


def test_the_oldest_results_go_where_room_is_short(furnished, tmp_path):
    opened, body = furnished
    with opened() as client:
        jobs = [asked(client, body)]
        finished(client, jobs[0])
    one = size_of(tmp_path / "data" / "jobs" / jobs[0])
    with opened(Limits(stored_bytes=5 * one // 2)) as client:  # room for two and a half
        jobs += [asked(client, body) for _ in range(3)]
        finished(client, jobs[-1])
        until(lambda: len(states(client)) < 3)
        assert set(states(client)) == set(jobs[-2:])
    assert {path.name for path in (tmp_path / "data" / "jobs").iterdir()} == set(jobs[-2:])


def test_uploads_go_when_they_are_old(furnished, tmp_path):
    opened, body = furnished
    with opened(Limits(keep_hours=1e-7)) as client:
        until(lambda: client.get("/scans").json() == [])
        assert list((tmp_path / "data" / "scans").iterdir()) == []
        assert client.post("/jobs", json=body).status_code == 404


def test_no_more_jobs_wait_than_may(furnished):
    opened, body = furnished
    with opened(Limits(waiting=1), SLOW) as client:
        first = asked(client, body)
        until(lambda: states(client)[first] == "running")
        asked(client, body)
        answer = client.post("/jobs", json=body)
        assert answer.status_code == 429
        assert "wait already" in answer.json()["detail"]


# ---- watching --------------------------------------------------------------------------------------------------


def watched(client, enough):
    """Events until `enough(events)`."""
    events, kind = [], None
    with client.stream("GET", "/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((kind, json.loads(line.removeprefix("data: "))))
                if enough(events):
                    return events
    return events


def test_every_change_is_seen(furnished):
    opened, body = furnished
    with opened() as client:
        job = asked(client, body)
        events = watched(client, lambda found: found[-1][1]["state"] == "done")
        seen = [event["state"] for kind, event in events if kind == "job" and event["id"] == job]
        progress = [event["progress"] for _, event in events]
        assert seen[-1] == "done"
        assert [state for state in ("waiting", "running", "done") if state in seen] == sorted(
            set(seen), key=["waiting", "running", "done"].index
        )
        assert progress == sorted(progress)
        assert events[-1][1] == client.get(f"/jobs/{job}").json()


def test_who_comes_later_is_told_everything_and_what_goes(furnished):
    opened, body = furnished
    with opened() as client:
        jobs = [asked(client, body) for _ in range(2)]
        for job in jobs:
            finished(client, job)
        later = threading.Timer(0.5, lambda: client.delete(f"/jobs/{jobs[0]}"))
        later.start()
        events = watched(client, lambda found: found[-1][0] == "gone")
        later.join()  # it has had its answer, too
        assert [event["id"] for kind, event in events if kind == "job"][:2] == jobs
        assert events[-1] == ("gone", {"id": jobs[0]})


def test_a_watcher_that_does_not_read_holds_nobody_up(furnished):
    opened, body = furnished
    with opened() as client, client.stream("GET", "/events"):
        began = time.monotonic()
        jobs = [asked(client, body) for _ in range(3)]
        for job in jobs:
            finished(client, job)
        assert time.monotonic() - began < 60
