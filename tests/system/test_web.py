"""Addresses, and what a server on this machine can do to those who open them."""

import re
import socket
from collections.abc import Iterator

import pytest

from helpers.web_server import CONTENT, INSECURE, Page, Site, closed_port, serve
from psmnet.errors import InputError
from psmnet.runtime import package_version
from psmnet.system import web
from psmnet.system.web import LOOPBACK, Lost, Refused, blocks, checked, open_url, read


@pytest.fixture(autouse=True)
def site(monkeypatch) -> Iterator[Site]:
    with serve(monkeypatch) as site:
        yield site


@pytest.mark.parametrize("host", LOOPBACK)
def test_this_machine_needs_no_https_unless_it_is_named_from_elsewhere(host):
    url = f"http://{f'[{host}]' if ':' in host else host}:8000/a.zip"
    assert checked(url) == url
    assert checked(url, came_from="http://localhost/api") == url
    with pytest.raises(InputError, match="is not an https address"):
        checked(url, came_from="https://zenodo.org/api/records/1")


@pytest.mark.parametrize("url", INSECURE)
def test_an_address_without_https_is_not_opened(url):
    with pytest.raises(InputError, match=f"{re.escape(repr(url))} is not an https address"):
        open_url(url)


@pytest.mark.parametrize("url", ["http://example.org/a.zip", "ftp://example.org/a.zip"])
def test_a_redirect_away_from_https_is_refused(site, url):
    site.pages["/a"] = Page(b"", 302, location=url)
    with pytest.raises(InputError, match=re.escape(f"'{url}' (named by {site.url}/a) is not an https address")):
        open_url(f"{site.url}/a")


def test_a_redirect_to_a_file_is_refused(site):
    site.pages["/a"] = Page(b"", 302, location="file:///etc/passwd")
    with pytest.raises(Refused, match=re.escape(f"HTTP 302 (Found) from {site.url}/a")):
        open_url(f"{site.url}/a")


def test_a_redirect_is_followed_with_the_range(site):
    site.pages["/a"] = Page(b"", 302, location="/b")
    site.pages["/b"] = Page()
    with open_url(f"{site.url}/a", 100) as response:
        assert b"".join(iter(lambda: read(response, 1000, ""), b"")) == CONTENT[100:]
    assert site.asked == [("/a", "bytes=100-"), ("/b", "bytes=100-")]
    assert site.agents == {f"psmnet/{package_version()}"}


@pytest.mark.parametrize(("status", "phrase"), [(404, "Not Found"), (599, "unknown")])
def test_an_error_for_an_answer_is_one_line(site, status, phrase):
    site.pages["/a"] = Page(b"the server's\nown words", status)
    with pytest.raises(Refused) as caught:
        open_url(f"{site.url}/a")
    assert caught.value.status == status
    assert str(caught.value) == f"HTTP {status} ({phrase}) from {site.url}/a"


def test_no_server_is_a_lost_connection():
    url = f"http://127.0.0.1:{closed_port()}/a"
    with pytest.raises(Lost, match=f"no answer from {url} "):
        open_url(url)


def test_a_server_that_falls_silent_is_a_lost_connection(monkeypatch):
    monkeypatch.setattr(web, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a"
        with pytest.raises(Lost, match=r"no answer from .* \(timed out\)"):
            open_url(url)


@pytest.mark.parametrize("announce", [True, False])
def test_blocks_are_all_there_is(site, monkeypatch, announce):
    monkeypatch.setattr(web, "BLOCK", 1000)
    site.pages["/a"] = Page(announce=announce)
    parts = list(blocks(f"{site.url}/a"))
    assert b"".join(parts) == CONTENT
    assert max(map(len, parts)) <= 1000


def test_fewer_bytes_than_announced_are_a_lost_connection(site):
    site.pages["/a"] = Page(cuts=[len(CONTENT) - 1])
    with pytest.raises(Lost, match=f"the connection to {site.url}/a broke"):
        list(blocks(f"{site.url}/a"))
