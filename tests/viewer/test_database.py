"""What is noted of scans and jobs."""

import sqlite3

import pytest

from psmnet.errors import InputError
from psmnet.viewer.database import Database

REQUEST = {"supports": ["c" * 16], "query": "a" * 16, "reference": None, "organs": None}


@pytest.fixture
def database(tmp_path):
    found = Database(tmp_path / "viewer.sqlite3")
    yield found
    found.close()


def test_jobs_are_done_in_the_order_in_which_they_came(database):
    for number, moment in ((1, 10.0), (2, 5.0), (3, 7.0)):
        assert database.add_job(str(number), moment, REQUEST, 10)
    assert database.next_job()["id"] == "2"
    database.change_job("2", state="running")
    assert database.next_job()["id"] == "3"
    assert database.counts() == {"waiting": 2, "running": 1}


def test_no_more_wait_than_may(database):
    assert database.add_job("1", 0, REQUEST, 1)
    assert not database.add_job("2", 0, REQUEST, 1)
    assert database.job("2") is None


def test_a_change_is_newer_than_what_was_seen(database):
    database.add_job("1", 0, REQUEST, 10)
    database.add_job("2", 1, REQUEST, 10)
    seen = database.revision
    assert database.jobs(seen) == []
    assert database.change_job("1", progress=0.5)
    assert [row["id"] for row in database.jobs(seen)] == ["1"]


def test_a_change_only_from_a_state(database):
    database.add_job("1", 0, REQUEST, 10)
    assert not database.change_job("1", only_if=("running",), state="done")
    assert database.change_job("1", only_if=("waiting", "running"), state="done")
    assert database.job("1")["state"] == "done"


def test_what_open_jobs_need_is_in_use(database):
    scan, other = "a" * 16, "b" * 16
    for scan_id in (scan, other):
        database.add_scan(scan_id, 0, {"name": scan_id})
    assert database.add_labels("c" * 16, other, 0, {"name": "labels"})
    database.add_job("1", 0, REQUEST, 10)
    assert database.scans_in_use() == {scan, other}
    database.change_job("1", state="done")
    assert database.scans_in_use() == set()


def test_labels_go_with_their_scan_and_come_with_it_only(database):
    database.add_scan("a", 0, {"name": "a"})
    assert database.add_labels("l", "a", 0, {"name": "l"})
    database.remove_scan("a")
    assert database.labels("l") is None
    assert not database.add_labels("m", "a", 0, {"name": "m"})


def test_it_outlives_the_server_without_wal(tmp_path):
    first = Database(tmp_path / "d.sqlite3")
    first.add_job("1", 0, REQUEST, 10)
    first.close()
    assert [p.name for p in tmp_path.iterdir()] == ["d.sqlite3"]
    second = Database(tmp_path / "d.sqlite3")
    assert second.job("1")["state"] == "waiting"
    assert second.revision == 1
    second.close()


@pytest.mark.parametrize("content", [b"no database at all, and long enough to be looked at" * 20, None])
def test_a_file_that_is_none_is_told_in_a_line(tmp_path, content):
    path = tmp_path / "d.sqlite3"
    if content is not None:
        path.write_bytes(content)
    else:  # of a version to come
        other = sqlite3.connect(path)
        other.execute("PRAGMA user_version = 99")
        other.close()
    with pytest.raises(InputError, match="delete it, or use another folder"):
        Database(path)


def test_a_file_of_the_version_before_is_read(tmp_path):
    """Version 1 had no stages."""
    path = tmp_path / "viewer.sqlite3"
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE jobs (id TEXT PRIMARY KEY, created REAL NOT NULL, state TEXT NOT NULL, request TEXT NOT NULL,"
            " revision INTEGER NOT NULL, started REAL, finished REAL, progress REAL NOT NULL DEFAULT 0,"
            " stage TEXT NOT NULL DEFAULT '', error TEXT, result TEXT)"
        )
        old.execute("INSERT INTO jobs (id, created, state, request, revision) VALUES ('1', 0, 'waiting', '{}', 7)")
        old.execute("PRAGMA user_version = 1")
    old.close()
    for _ in range(2):
        found = Database(path)
        assert found.revision == 7
        assert (found.job("1")["stages"], found.job("1")["left_s"]) == (None, None)
        found.close()


def test_a_learning_needs_all_its_scans(database):
    request = {"kind": "learn", "supports": ["c" * 16], "scans": ["a" * 16, "b" * 16], "organs": None}
    database.add_scan("d" * 16, 0, {"name": "labelled"})
    assert database.add_labels("c" * 16, "d" * 16, 0, {"name": "labels"})
    database.add_job("1", 0, request, 10)
    assert database.scans_in_use() == {"a" * 16, "b" * 16, "d" * 16}
