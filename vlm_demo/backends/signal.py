"""An event for which threads and event loops wait alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


class Signal(threading.Event):
    """An Event for which an event loop can wait, too: one waiter at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._wake: Callable[[], None] | None = None

    def set(self) -> None:
        super().set()
        wake = self._wake
        if wake is not None:
            wake()

    async def wait_async(self, timeout: float | None = None) -> bool:
        """Like `wait`, without a thread."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(woken.set)

        self._wake = wake
        try:
            if not self.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), timeout)
        finally:
            self._wake = None
        return self.is_set()
