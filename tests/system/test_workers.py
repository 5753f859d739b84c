"""Scans side by side: the same masks as alone, a bad one among good ones, processes that hang or are killed."""

import os
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from psmnet.cohort.job import CohortJob
from psmnet.cohort.worker import Done, Worker
from psmnet.errors import PsmnetError
from psmnet.io.scan_files import Query
from psmnet.system.workers import Workers, in_processes, in_this_process


def job_of(phantoms: Path, weights: Path, out: Path) -> CohortJob:
    job = CohortJob(
        supports=((phantoms / "image_1.nii.gz", phantoms / "label_1.nii.gz"),),
        out=out,
        weights=str(weights),
        device="cpu",
        threads=1,
    )
    return job.with_key(job.load())


@pytest.fixture
def job(phantoms: Path, tiny_weights: Path, tmp_path: Path) -> CohortJob:
    return job_of(phantoms, tiny_weights, tmp_path / "out")


@pytest.fixture
def queries(phantoms: Path, tmp_path: Path) -> list[Query]:
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    return [Query(tmp_path / "bad.nii.gz", "bad"), *(Query(phantoms / f"image_{n}.nii.gz", f"p{n}") for n in (2, 3))]


def masks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*_seg.nii.gz")}


def test_a_bad_scan_among_good_ones_and_processes_do_as_this_one_does(job, queries, tmp_path):
    beside = replace(job, out=tmp_path / "beside")
    here = dict(in_this_process(Worker(job), queries))
    there = dict(in_processes(partial(Worker, beside), queries, 2, 300))
    for found in (here, there):
        assert set(found) == set(queries)
        assert isinstance(found[queries[0]], PsmnetError)
        assert "bad.nii.gz" in str(found[queries[0]])
        assert all(isinstance(found[query], Done) for query in queries[1:])
    assert masks(job.out) == masks(beside.out)
    assert set(masks(job.out)) == {"p2_seg.nii.gz", "p3_seg.nii.gz"}
    assert not list(job.out.glob("bad*mask*"))


def children() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if "psmnet" in " ".join(p.cmdline())]


def test_one_that_takes_too_long_is_told_by_name_and_leaves_nothing_behind(job, queries):
    """No process imports torch, reads a support and segments in a hundredth of a second."""
    found = dict(in_processes(partial(Worker, job), queries[1:2], 1, 0.01))
    assert "it took longer than 0.01 s; allow more time" in str(found[queries[1]])
    assert children() == []
    assert masks(job.out) == {}


@pytest.mark.slow  # test_worker_process holds it for a worker that takes no second to start
def test_one_that_is_killed_is_told_by_name_and_the_rest_goes_on(job, queries):
    struck: list[int] = []

    def strike() -> None:
        while not struck:
            if (job.out / "p2_seg.json").exists():  # at work
                for child in children():
                    struck.append(child.pid)
                    child.kill()
            time.sleep(0.002)

    killer = threading.Thread(target=strike)
    killer.start()
    found = dict(in_processes(partial(Worker, job), queries[1:], 1, 300))
    killer.join()
    first, second = (found[query] for query in queries[1:])
    assert "its process was killed (SIGKILL): probably out of memory" in str(first)
    assert isinstance(second, Done)
    again = dict(in_processes(partial(Worker, job), queries[1:], 1, 300))
    assert [again[query].kept for query in queries[1:]] == [False, True]  # type: ignore[union-attr]


def test_an_interruption_ends_the_processes(job, queries):
    engine = in_processes(partial(Worker, job), queries, 2, 300)
    next(engine)
    engine.close()
    deadline = time.monotonic() + 20
    while children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert children() == []


def pid_of(item: str) -> int:
    return os.getpid()


def pid_factory():
    return pid_of


@pytest.mark.parametrize(
    ("workers", "items", "here"),
    [
        (Workers(), ["a"], True),
        (Workers(), ["a", "b"], False),
        (Workers(count=1), ["a"], False),
        (Workers(timeout_s=60), ["a"], False),
    ],
)
def test_only_a_single_item_without_limits_is_worked_on_in_this_process(workers, items, here, tmp_path):
    found = dict(workers.map(pid_factory, items, key="", folder=tmp_path))
    assert set(found) == set(items)
    assert (set(found.values()) == {os.getpid()}) is here
    assert len(set(found.values())) == 1


def test_work_for_this_process_may_be_given(tmp_path):
    assert dict(Workers().map(pid_factory, ["a"], key="", folder=tmp_path, here=str.upper)) == {"a": "A"}


def test_cores_are_shared_out(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert [Workers(count).threads for count in (None, 1, 3, 20)] == [None, 8, 2, 1]
