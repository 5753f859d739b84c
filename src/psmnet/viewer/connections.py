"""Connections that ask for nothing are closed: half-open ones of one program must not keep others out."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SILENCE_S = 10.0  # that a new connection may take to ask for something


class TimedProtocol(H11Protocol):
    """uvicorn's protocol, which itself waits for a first request forever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(SILENCE_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._patience.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        cycle: Any = self.cycle  # a request whose headers have come
        if cycle is None:
            self.transport.close()
