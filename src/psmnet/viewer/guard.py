"""Checks before every request (Host, Origin, token), and headers that limit what a page may do.

A page of another site can make a browser send requests here (CSRF), or pass for this site by DNS rebinding. So Host
must be a name of this server, Origin must be this server's own, and `/api` needs a token that no other page knows and
no cookie carries.
"""

import hmac
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'self'; worker-src 'self' blob:; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data: blob:; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware around the whole application.

    Args:
        app: the application.
        token: required by `/api` as `Authorization: Bearer`.
        hosts: accepted values of Host, with the port.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str]) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                # A browser asks before it reuses a part of the page, so that all parts are of one version.
                headers["Cache-Control"] = "no-store" if scope["path"].startswith("/api") else "no-cache"
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            # RFC 9112, 6.1: a proxy that goes by the other one would see where the next request begins elsewhere.
            return _refused(400, "Content-Length and Transfer-Encoding in one request; send only one of them")
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            return _refused(403, "this server does not have this name; open the address that psmnet serve printed")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in {f"http://{host}", f"https://{host}"}:
            return _refused(
                403, "the request comes from a page of another site; open the address that psmnet serve printed"
            )
        if scope["path"].startswith("/api") and not hmac.compare_digest(
            headers.get("authorization", "").encode(), self._wanted
        ):
            return _refused(401, "the token is missing or wrong; open the address that psmnet serve printed")
        return None


def _refused(status: int, why: str) -> JSONResponse:
    headers = {401: {"WWW-Authenticate": "Bearer"}, 400: {"Connection": "close"}}.get(status)
    return JSONResponse({"detail": why}, status, headers)
