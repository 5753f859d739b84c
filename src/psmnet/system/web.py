"""Opening web addresses: https only, every redirect checked, and two exceptions for what can go wrong."""

from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse, responses
from typing import Any, cast
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from psmnet.errors import InputError
from psmnet.runtime import package_version

TIMEOUT_S = 60.0  # without receiving a byte
BLOCK = 1 << 20
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Lost(Exception):
    """No connection, or a lost one: worth another try."""


class Refused(Exception):
    """The server answered with an error; the message is one line, without the server's own text."""

    def __init__(self, status: int, url: str) -> None:
        self.status = status
        super().__init__(f"HTTP {status} ({responses.get(status, 'unknown')}) from {url}")


def checked(url: str, came_from: str | None = None) -> str:
    """Check an address and escape its spaces: https, or http on this machine unless another machine named it.

    Raises:
        InputError: it is neither, or contains a user name.
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
        raise InputError(f"{url!r}{said} is not an https address", "give a source with https")
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
    """Request the content of an address, from byte `start` on.

    Raises:
        InputError: the address, or one that it redirects to, is not https.
        Lost: no answer.
        Refused: the server answers with an error.
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
    """Read what has arrived of an answer, at most `size` bytes; empty at its end, or if it broke off unnoticed.

    Raises:
        Lost: the connection broke.
    """
    try:
        return response.read1(size)  # what has arrived, so that nothing is lost with the connection
    except (OSError, HTTPException, ValueError) as error:
        raise Lost(f"the connection to {url} broke ({error})") from error


def blocks(url: str) -> Iterator[bytes]:
    """Read the whole content of an address, block by block.

    Raises:
        InputError, Lost, Refused: as `open_url`; Lost also if less arrives than announced.
    """
    with open_url(url) as response:
        missing = response.length or 0
        while block := read(response, BLOCK, url):
            missing -= len(block)
            yield block
    if missing > 0:
        raise Lost(f"the connection to {url} broke")
