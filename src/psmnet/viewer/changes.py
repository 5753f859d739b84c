"""Wakes those who watch jobs, from whatever thread something changed in."""

import asyncio
import contextlib
from collections.abc import Iterator


class Changes:
    """Watchers are woken, and ask for themselves what is new: a slow one holds nothing up and is owed nothing."""

    def __init__(self) -> None:
        self.over = False
        self._watchers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def announce(self) -> None:
        """Something changed."""
        for loop, event in tuple(self._watchers):
            with contextlib.suppress(RuntimeError):  # the server is closing
                loop.call_soon_threadsafe(event.set)

    def end(self) -> None:
        """Nothing will change any more: watchers go."""
        self.over = True
        self.announce()

    @contextlib.contextmanager
    def watched(self) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set when something changed; whoever waits for it clears it."""
        watcher = asyncio.get_running_loop(), asyncio.Event()
        self._watchers.add(watcher)
        try:
            yield watcher[1]
        finally:
            self._watchers.discard(watcher)
