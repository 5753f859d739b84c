"""A viewer as a process: its address, its token, and the server that runs it."""

import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from psmnet.errors import InputError
from psmnet.system import how_to_install
from psmnet.viewer.service import Service

if TYPE_CHECKING:
    from uvicorn import Server

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
CLOSING_S = 2  # for open requests to end


@dataclass(frozen=True)
class Address:
    """Where a viewer listens.

    Attributes:
        host: a name or number of this machine.
        port: free, or 0 for any.
        names: other names by which browsers may reach it, such as a proxy's, with the port unless it is the default.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    names: Sequence[str] = ()

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in ("127.0.0.1", "localhost", "::1")

    def bound(self) -> socket.socket:
        """A socket that listens there.

        Raises:
            InputError: the port is in use, or the host is not a name of this machine.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.socket(family)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.host, self.port))
        except OSError as error:
            listening.close()
            raise InputError(
                f"can't listen on {self.host}, port {self.port} ({error.strerror or error})",
                "use another host or port",
                code="viewer-port",
            ) from error
        return listening

    def hosts(self, port: int) -> list[str]:
        """Accepted values of the Host header."""
        own = f"[{self.host}]" if ":" in self.host else self.host
        known = [f"{name}:{port}" for name in (*LOOPBACK, own, *self.names)]
        if port == 80:  # browsers leave it out
            known += [*LOOPBACK, own]
        return [*known, *self.names]  # behind a proxy with TLS: its name, perhaps with its port

    def url(self, port: int, token: str) -> str:
        """The address to open. The token is in the fragment, which browsers send to no server, proxy or log."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}/#token={token}"


def require_web() -> None:
    """Check that the extra `web` is installed, before anything is written.

    Raises:
        InputError: the extra `web` is missing.
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        what = f"psmnet serve needs {error.name}, which is missing"
        raise InputError(what, how_to_install("web")) from error


def serve(
    service: Service,
    address: Address,
    *,
    open_browser: bool = False,
    token: str | None = None,
    say: Callable[[str], None],
) -> None:
    """Run a viewer until it is stopped (Ctrl-C, SIGTERM).

    Args:
        service: its scans and jobs; the caller holds the lock of its folder.
        address: where it listens.
        open_browser: open the page in this machine's browser.
        token: required by `/api`; a random one by default.
        say: called once with the page's address, when the page can be opened.

    Raises:
        InputError: it can't listen there.
    """
    import uvicorn

    from psmnet.viewer.app import create_app
    from psmnet.viewer.connections import TimedProtocol

    token = token or secrets.token_urlsafe(32)
    listening = address.bound()
    port = listening.getsockname()[1]
    url = address.url(port, token)
    config = uvicorn.Config(
        create_app(service, token, address.hosts(port)),
        http=TimedProtocol,
        ws="none",
        log_level="warning",
        access_log=False,  # names of uploads would be in it
        timeout_graceful_shutdown=CLOSING_S,
        server_header=False,
    )
    server = uvicorn.Server(config)
    handle_exit = server.handle_exit

    def stop(signum: int, frame: FrameType | None) -> None:
        service.changes.end()  # else open event streams delay the end and are cut off with an error
        handle_exit(signum, frame)

    server.handle_exit = stop  # type: ignore[assignment, method-assign]
    threading.Thread(target=_announce, args=(server, url, open_browser, say), daemon=True).start()
    with listening:
        server.run(sockets=[listening])


def _announce(server: "Server", url: str, open_browser: bool, say: Callable[[str], None]) -> None:
    """Print the address as soon as the server answers."""
    while not server.started:
        if server.should_exit:
            return
        threading.Event().wait(0.02)
    say(f"open {url}")
    if open_browser:
        webbrowser.open(url)
