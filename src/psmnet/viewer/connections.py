"""Closes connections that send no request, so that half-open ones of one program keep no other out.

uvicorn has no setting for this: `timeout_keep_alive` starts with the end of a first response, and its timer is
cancelled by the first byte received (uvicorn 0.54, h11_impl.py).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

FIRST_REQUEST_S = 10.0  # time for the headers of the first request


class TimedProtocol(H11Protocol):
    """uvicorn's protocol with a time limit for the first request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the timer."""
        super().connection_made(transport)
        self._first_request_timer = self.loop.call_later(FIRST_REQUEST_S, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._first_request_timer.cancel()
        super().connection_lost(exc)

    def _close_if_silent(self) -> None:
        cycle: Any = self.cycle  # a request whose headers have come
        if cycle is None:
            self.transport.close()
