"""`psmnet serve` as a process: started, killed, started again."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from helpers.serving import finished, upload, upload_labels


@contextmanager
def served(data, *options):
    """The command in a process of its own, and a client of it by the address that it prints."""
    code = "from psmnet.cli.main import main; main()"
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--data", str(data), "--threads", "1", *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"open (http://127\.0\.0\.1:\d+)/#token=([\w-]{43})\n", line)
        assert found, (line, process.stderr.read() if not line else "")
        with httpx.Client(
            base_url=f"{found[1]}/api", headers={"Authorization": f"Bearer {found[2]}"}, timeout=60
        ) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow  # four processes with torch; test_jobs has a server that ends and its job done by the next
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
# httpx lets go of a connection whose server was killed without closing it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_killed_during_a_job_and_started_again_the_job_ends_well(tmp_path, tiny_weights, phantoms):
    data = tmp_path / "data"
    with served(data, "--weights", str(tiny_weights)) as (process, client):
        support = upload(client, phantoms / "image_1.nii.gz")
        labels = upload_labels(client, support["id"], phantoms / "label_1.nii.gz")
        query = upload(client, phantoms / "image_2.nii.gz")
        job = client.post("/jobs", json={"supports": [labels["id"]], "query": query["id"]}).json()["id"]
        deadline = time.monotonic() + 60
        while client.get(f"/jobs/{job}").json()["state"] != "running":
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with served(data, "--weights", str(tiny_weights)) as (process, client):
        assert finished(client, job)["result"]["organs"]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130)
        assert "Traceback" not in process.stderr.read()


def test_a_server_from_its_start_to_the_purge(tmp_path, tiny_weights, cli):
    """The demo's patients, private files, no purge while it runs, watchers that end with it, then the purge."""
    data = tmp_path / "data"
    with served(data, "--weights", str(tiny_weights), "--demo") as (process, client):
        assert [scan["name"] for scan in client.get("/scans").json()] == ["patient 1", "patient 2", "patient 3"]
        for path in (data, *data.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path
        busy = cli("serve", "--purge", "--data", data)
        assert busy.code == 2
        assert "is being written by process" in busy.err
        with client.stream("GET", "/events") as stream:
            process.send_signal(signal.SIGTERM)
            assert list(stream.iter_lines()) == []
        process.wait(20)
        assert process.stderr.read().splitlines()[1:] == []  # the first says where uploads lie
    done = cli("serve", "--purge", "--data", data)
    assert done.code == 0
    assert re.match(r"deleted: \d+\.\d MiB", done.out)
    assert [path.name for path in data.iterdir()] == ["psmnet-viewer"]


def test_purge_of_a_folder_that_is_not_there_is_no_success(tmp_path, cli):
    outcome = cli("serve", "--purge", "--data", tmp_path / "mistyped")
    assert outcome.code == 2
    assert "nothing to delete: no folder" in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port", "PORT"], "can't listen on 127.0.0.1, port"),
        (["--host", "203.0.113.1", "--port", "0"], "can't listen on 203.0.113.1"),
        (["--device", "cuda:77"], "is not available on this machine"),
        (["--weights", "nowhere"], "nowhere"),
        (["--data", "FILE"], "is a file"),
        (["--data", "OTHER"], "holds other files than a viewer's data; choose another --data folder"),
    ],
)
def test_what_can_not_be_is_one_line(tmp_path, cli, arguments, told):
    (tmp_path / "file").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("x")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        known = {"PORT": taken.getsockname()[1], "FILE": tmp_path / "file", "OTHER": tmp_path / "other"}
        own = [] if "--data" in arguments else ["--data", tmp_path / "data"]
        mask = os.umask(0o022)
        try:
            outcome = cli("serve", *own, *(known.get(word, word) for word in arguments))
        finally:
            os.umask(mask)
    assert outcome.code == 2
    assert told in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_missing_extra_is_named(tmp_path, cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    outcome = cli("serve", "--data", tmp_path / "data")
    assert outcome.code == 2
    assert "pip install -e '.[web]' in the folder of psmnet, or make env" in outcome.err
