"""A server on this machine for tests of downloads: no other host is asked."""

import dataclasses
import hashlib
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from psmnet.catalog import DATASETS
from psmnet.data.prepare import download, zenodo
from psmnet.data.prepare.zenodo import RemoteFile
from psmnet.system.web import LOOPBACK

CONTENT = bytes(range(256)) * 40  # 10,240 bytes
NAME = "CHAOS_Train_Sets.zip"  # the file that the catalog wants of chaos-t2
FIRST, SECOND = DATASETS["chaos-t2"].zenodo_records
INSECURE = (
    "http://example.org/a.zip",
    "ftp://example.org/a.zip",
    "file:///etc/passwd",
    "http://127.0.0.1.example.org/a.zip",
    "http://localhost@example.org/a.zip",
    "https://somebody:secret@example.org/a.zip",
    "https:///a.zip",
    "//example.org/a.zip",
    "http://[::1/a.zip",
    "https://example.org:port/a.zip",
    "a.zip",
)


@dataclass
class Page:
    """What the server does at a path.

    `cuts` has, for each coming request, after how many bytes of it the connection is closed; then it serves in full.
    """

    body: bytes = CONTENT
    status: int = 200
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    location: str = ""
    announce: bool = True
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """A server and what it was asked."""

    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    agents: set[str | None] = field(default_factory=set)

    def record(self, number: str, *files: dict[str, Any], wrap: Callable[[Any], Any] = list) -> None:
        """Serve a record with these files."""
        self.pages[f"/api/{number}"] = Page(json.dumps({"id": number, "files": wrap(files)}).encode(), ranges=False)

    def entry(self, name: str = NAME, content: bytes = CONTENT, **changes: Any) -> dict[str, Any]:
        """A file of a record, as Zenodo lists it; its page is made if missing."""
        self.pages.setdefault(f"/files/{name}", Page(content))
        listed = {
            "key": name,
            "size": len(content),
            "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
            "links": {"self": f"{self.url}/files/{name}"},
        }
        return {**listed, **changes}

    def ranges(self, name: str = NAME) -> list[str | None]:
        """Range headers of the requests for a file."""
        return [asked for path, asked in self.asked if path == f"/files/{name}"]


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self):
        wanted = self.headers["Range"]
        self.site.asked.append((self.path, wanted))
        self.site.agents.add(self.headers["User-Agent"])
        page = self.site.pages.get(self.path, Page(b"nothing", 404))
        body, status, headers = page.body, page.status, dict(page.headers)
        if page.location:
            headers["Location"] = page.location
        if wanted and page.ranges and status == 200:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            status = 206 if start < len(body) else 416
            headers.setdefault("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            body = body[start:]
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if page.announce:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: page.cuts.pop(0)] if page.cuts else body)  # the connection is closed after it

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        assert isinstance(sys.exc_info()[1], ConnectionError)  # the client had enough


@contextmanager
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server in Zenodo's place: no proxies, no waiting, and an error for every name but this machine's."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    look_up = socket.getaddrinfo

    def guarded(host: Any, *arguments: Any, **named: Any) -> Any:
        assert host in LOOPBACK, f"{host} was asked"
        return look_up(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", guarded)
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0, 0.0))
    handler = type("SiteHandler", (Handler,), {})
    with Server(("127.0.0.1", 0), handler) as server:
        site = handler.site = Site(f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(zenodo, "ZENODO_API", f"{site.url}/api")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def remote(site: Site, name: str = NAME, content: bytes = CONTENT, **changes: Any) -> RemoteFile:
    """The file as find_files gives it."""
    entry = site.entry(name, content)
    return dataclasses.replace(RemoteFile(name, entry["size"], entry["checksum"], entry["links"]["self"]), **changes)


def closed_port() -> int:
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        return int(ours.getsockname()[1])
