"""A viewer that listens, for tests: in a thread of this process, with a client that knows its token."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from psmnet.learning.settings import LearnSettings
from psmnet.learning.student_training import StudentTraining
from psmnet.viewer.app import create_app
from psmnet.viewer.connections import TimedProtocol
from psmnet.viewer.folder import DataFolder
from psmnet.viewer.limits import Limits
from psmnet.viewer.runner import Engine
from psmnet.viewer.server import Address
from psmnet.viewer.service import Service

QUICK = LearnSettings(rounds=1, registration=False, training=StudentTraining(steps=2))
TOKEN = "a-token-for-tests"
PATIENCE_S = 900.0


@contextlib.contextmanager
def listening(root: Path, weights: str, limits: Limits | None = None, engine: Any = None) -> Iterator[httpx.Client]:
    """A server and a client of it; `engine` takes the place of the one that segments."""
    service = Service(DataFolder(root), limits or Limits(), engine or Engine(weights, threads=1))
    address = Address(port=0)
    socket = address.bound()
    port = socket.getsockname()[1]
    app = create_app(service, TOKEN, address.hosts(port))
    server = uvicorn.Server(
        uvicorn.Config(app, http=TimedProtocol, ws="none", log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", headers=headers, timeout=PATIENCE_S) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        socket.close()
        service.close()


def upload(client: httpx.Client, path: Path, name: str | None = None) -> Any:
    """A scan."""
    answer = client.post("/scans", params={"name": name or path.name}, content=path.read_bytes())
    assert answer.status_code == 201, answer.text
    return answer.json()


def upload_labels(client: httpx.Client, scan: str, path: Path, name: str | None = None, **more: str) -> Any:
    """Labels of a scan."""
    answer = client.post(f"/scans/{scan}/labels", params={"name": name or path.name, **more}, content=path.read_bytes())
    assert answer.status_code == 201, answer.text
    return answer.json()


def finished(client: httpx.Client, job: str, wanted: str = "done") -> Any:
    """A job when it is over."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = client.get(f"/jobs/{job}").json()
        if found["state"] not in ("waiting", "running"):
            assert found["state"] == wanted, found
            return found
        time.sleep(0.05)
    raise AssertionError(f"job {job} is not over after {PATIENCE_S} s")
