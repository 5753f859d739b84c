"""Wakes whoever watches jobs when a job changes, from any thread."""

import asyncio
import contextlib
from collections.abc import Iterator


class Changes:
    """Watchers are only woken and look up the changes themselves, so that a slow one delays nobody."""

    def __init__(self) -> None:
        self.over = False
        self._watchers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def announce(self) -> None:
        """Something changed."""
        for loop, event in tuple(self._watchers):
            with contextlib.suppress(RuntimeError):  # the server is closing
                loop.call_soon_threadsafe(event.set)

    def end(self) -> None:
        """The server is closing: watchers stop."""
        self.over = True
        self.announce()

    @contextlib.contextmanager
    def watched(self) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set after each change; the watcher clears it."""
        watcher = asyncio.get_running_loop(), asyncio.Event()
        self._watchers.add(watcher)
        try:
            yield watcher[1]
        finally:
            self._watchers.discard(watcher)
