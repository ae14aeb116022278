"""Where answers from other machines are read: one event loop in one thread, however many answers there are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


class Reader:
    """An event loop in a thread of its own, which begins with the first call. May be used from any thread."""

    def __init__(self, name: str) -> None:
        """`name` is the thread's."""
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def call(self, function: Callable[[], None]) -> None:
        """Let the loop call a function; functions are called in the order in which they come."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True).start()
        self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """End what is being read, then the thread."""
        with self._lock:
            if self._loop is not None:
                asyncio.run_coroutine_threadsafe(self._end(), self._loop)

    async def _end(self) -> None:
        loop, reading = asyncio.get_running_loop(), asyncio.all_tasks() - {asyncio.current_task()}
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await loop.shutdown_default_executor()  # its threads have looked up addresses
        loop.call_soon(loop.stop)  # after those who wait for these tasks have heard
