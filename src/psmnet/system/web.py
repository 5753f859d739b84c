"""Opening addresses: https only, each redirect looked at, and what can go wrong in two exceptions."""

from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse, responses
from typing import Any, cast
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from psmnet.errors import InputError
from psmnet.runtime import package_version

TIMEOUT_S = 60.0  # without a byte
BLOCK = 1 << 20
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Lost(Exception):
    """No connection, or one that broke: worth another try."""


class Refused(Exception):
    """An answer that is an error; its text is one line, not the server's own words."""

    def __init__(self, status: int, url: str) -> None:
        self.status = status
        super().__init__(f"HTTP {status} ({responses.get(status, 'unknown')}) from {url}")


def checked(url: str, came_from: str | None = None) -> str:
    """An address, with its spaces escaped: https, or http on this machine unless it was named from elsewhere.

    Raises:
        InputError: it is neither, or carries a user's name.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # reading the port checks it
        plain = bool(host) and parts.username is None
    except ValueError:
        host, plain = None, False
    local = host in LOOPBACK and (came_from is None or urlsplit(came_from).hostname in LOOPBACK)
    if not plain or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        said = f" (named by {came_from})" if came_from else ""
        raise InputError(f"{url!r}{said} is no https address", "nothing is fetched without https: give another source")
    return quote(url, safe="%/:=&?~#+!$,;'@()*[]")


class _Redirects(HTTPRedirectHandler):
    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        try:
            checked(newurl, came_from=req.full_url)
        except InputError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_url(url: str, start: int = 0) -> HTTPResponse:
    """Ask for what is at an address, from byte `start` on.

    Raises:
        InputError: the address, or one that it redirects to, is not https.
        Lost: no answer.
        Refused: an error for an answer.
    """
    headers = {"User-Agent": f"psmnet/{package_version()}", "Accept": "application/json, */*;q=0.5"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = Request(checked(url), headers=headers)
    try:
        return cast(HTTPResponse, build_opener(_Redirects).open(request, timeout=TIMEOUT_S))
    except HTTPError as error:
        with error:
            raise Refused(error.code, url) from error
    except (OSError, HTTPException, ValueError) as error:
        raise Lost(f"no answer from {url} ({getattr(error, 'reason', error)})") from error


def read(response: HTTPResponse, size: int, url: str) -> bytes:
    """What has come of an answer, `size` bytes at most; empty at its end, or where it broke off unnoticed.

    Raises:
        Lost: the connection broke.
    """
    try:
        return response.read1(size)  # what has come, so that nothing is lost with the connection
    except (OSError, HTTPException, ValueError) as error:
        raise Lost(f"the connection to {url} broke ({error})") from error


def blocks(url: str) -> Iterator[bytes]:
    """All that is at an address, block by block.

    Raises:
        InputError, Lost, Refused: as `open_url`; Lost also where less comes than was announced.
    """
    with open_url(url) as response:
        missing = response.length or 0
        while block := read(response, BLOCK, url):
            missing -= len(block)
            yield block
    if missing > 0:
        raise Lost(f"the connection to {url} broke")
