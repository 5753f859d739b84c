"""A real Dask scheduler and its workers, on this machine."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from psmnet.cohort.job import CohortJob
from psmnet.cohort.worker import Done, Worker
from psmnet.errors import ConfigError, InputError, PsmnetError
from psmnet.io.scan_files import Query
from psmnet.runtime import package_version
from psmnet.system.cluster import on_cluster, require_safe
from psmnet.system.workers import Workers, in_this_process

distributed = pytest.importorskip("distributed")

START_S = 60.0
SCHEDULER = "scheduler.json"


@dataclass(frozen=True)
class Cluster:
    address: str
    worker: subprocess.Popen[bytes]
    folder: Path

    def further_worker(self) -> subprocess.Popen[bytes]:
        """A second worker, for a test that kills it."""
        worker = dask_worker(self.folder, "further")
        with distributed.Client(self.address, timeout=START_S, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=START_S)
        return worker


def dask(program: str, *options: str) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", f"distributed.cli.dask_{program}", "--no-dashboard", *options]
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def dask_worker(folder: Path, name: str) -> subprocess.Popen[bytes]:
    options = ("--nthreads", "1", "--host", "127.0.0.1", "--no-nanny", "--local-directory", str(folder / name))
    return dask("worker", *options, "--scheduler-file", str(folder / SCHEDULER))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """127.0.0.1, no dashboard; killed workers stay dead, as lost machines do."""
    folder = tmp_path_factory.mktemp("cluster")
    file = str(folder / SCHEDULER)
    scheduler = dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
    worker = dask_worker(folder, "first")
    try:
        with distributed.Client(scheduler_file=file, timeout=START_S, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=START_S)
            yield Cluster(client.scheduler.address, worker, folder)
    finally:
        for process in (worker, scheduler):  # asked to end all at once, they may wait for each other
            process.kill()
            process.wait()


def job_of(phantoms: Path, weights: Path, out: Path) -> CohortJob:
    out.mkdir()
    support = phantoms / "image_1.nii.gz", phantoms / "label_1.nii.gz"
    job = CohortJob(supports=(support,), out=out, weights=str(weights), device="cpu", threads=1)
    return job.with_key(job.load())


def segment(job: CohortJob, queries: list[Query], address: str, timeout_s: float = 300):
    return on_cluster(partial(Worker, job), queries, address, timeout_s, key=job.key, folder=job.out)


def masks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*_seg.nii.gz")}


@pytest.mark.parametrize("copies", [1, pytest.param(40, marks=pytest.mark.slow)])
def test_two_workers_one_killed_midway_do_as_this_process_does(phantoms, tiny_weights, tmp_path, cluster, copies):
    """Five scans or two hundred, and one that is damaged."""
    job = job_of(phantoms, tiny_weights, tmp_path / "out")
    victim = cluster.further_worker()
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    queries = [Query(phantoms / f"image_{n}.nii.gz", f"p{n}_{i}") for n in range(2, 7) for i in range(copies)]
    queries.append(Query(tmp_path / "bad.nii.gz", "bad"))
    found = {}
    with closing(segment(job, queries, cluster.address)) as engine:
        for query, outcome in engine:
            found[query] = outcome
            if len(found) == copies:
                victim.kill()
                victim.wait()
    assert set(found) == set(queries)
    assert isinstance(found[queries[-1]], PsmnetError)
    assert "bad.nii.gz" in str(found[queries[-1]])
    assert all(isinstance(found[query], Done) for query in queries[:-1])
    assert victim.poll() is not None
    beside = replace(job, out=tmp_path / "beside")
    for _ in in_this_process(Worker(beside), queries):
        pass
    assert masks(job.out) == masks(beside.out)
    again = dict(segment(job, queries[:-1], cluster.address))
    assert all(outcome.kept for outcome in again.values())  # type: ignore[union-attr]


def test_a_scan_that_takes_too_long_is_ended_on_its_worker(phantoms, tiny_weights, tmp_path, cluster):
    job = job_of(phantoms, tiny_weights, tmp_path / "out")
    query = Query(phantoms / "image_2.nii.gz", "two")
    found = dict(segment(job, [query], cluster.address, 0.01))
    assert "it took longer than 0.01 s" in str(found[query])
    children = psutil.Process(cluster.worker.pid).children()
    assert not any(" isolated" in " ".join(child.cmdline()) for child in children)
    assert isinstance(dict(segment(job, [query], cluster.address))[query], Done)


PID = "__import__('os').getpid()"


def test_a_process_is_kept_for_its_key_and_ended_by_another(cluster, tmp_path):
    def pids(key: str) -> set[int]:
        factory = partial(partial, eval)  # of no module that a worker can't import
        workers, items = Workers(cluster=cluster.address), [PID, f"0 or {PID}", "1 / 0"]
        found = dict(workers.map(factory, items, key=key, folder=tmp_path))
        assert "division by zero" in str(found.pop("1 / 0"))
        return set(found.values())

    (first,) = pids("one")
    assert pids("one") == {first}
    (second,) = pids("two")
    assert second != first
    assert not psutil.pid_exists(first)


def test_workers_of_another_version_and_without_the_folder(phantoms, tiny_weights, tmp_path, cluster, monkeypatch):
    job = job_of(phantoms, tiny_weights, tmp_path / "out")
    query = Query(phantoms / "image_2.nii.gz", "two")
    nowhere = replace(job, out=tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"1 of 1 worker doesn't see .*nowhere; choose a folder that all machines"):
        list(segment(nowhere, [query], cluster.address))
    monkeypatch.setattr("psmnet.system.cluster.package_version", lambda: "9.9")
    with pytest.raises(InputError, match=rf"workers have psmnet {package_version()}, this is 9\.9; install one"):
        list(segment(job, [query], cluster.address))


def test_no_scheduler(phantoms, tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setattr("psmnet.system.cluster.CONNECT_S", 0.5)
    job = job_of(phantoms, tiny_weights, tmp_path / "out")
    began = time.monotonic()
    with pytest.raises(InputError, match=r"no scheduler at tcp://127\.0\.0\.1:9 \(.*\); start the scheduler"):
        list(segment(job, [Query(phantoms / "image_2.nii.gz", "two")], "tcp://127.0.0.1:9"))
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786", "tls://far.example:8786"]
)
def test_addresses_that_are_safe(address):
    require_safe(address, insecure=False)


@pytest.mark.parametrize("address", ["tcp://far.example:8786", "tcp://10.0.0.2:8786", "tcp://localhost.example:1"])
def test_another_machine_in_clear_must_be_said_aloud(address):
    with pytest.raises(ConfigError, match=r"not encrypted; give a tls:// address .*insecure=True"):
        require_safe(address, insecure=False)
    require_safe(address, insecure=True)


@pytest.mark.parametrize("address", ["far:8786", "http://localhost:1", "tcp://localhost", "tcp://:8786", "tls://"])
def test_addresses_that_are_none(address):
    with pytest.raises(ConfigError, match=r"give it as tls://host:8786"):
        require_safe(address, insecure=True)


def test_without_the_extra(monkeypatch, phantoms, tiny_weights, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"a cluster needs the package distributed.*pip install -e '\.\[cluster\]'"):
        list(segment(job_of(phantoms, tiny_weights, tmp_path / "out"), [], "tcp://127.0.0.1:9"))
