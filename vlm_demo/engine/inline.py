"""Answers that are written by whoever waits for them, in a process where no thread may live beside that one."""

from __future__ import annotations

from collections import deque

from vlm_demo.engine.batch import Batch
from vlm_demo.engine.request import QueuedRequest
from vlm_demo.results import Position, explain


class Inline:
    """In place of a `Scheduler`: no thread and no turns. Each call of `ensure_alive` writes one more token."""

    def __init__(self) -> None:
        self._batch = Batch()
        self._waiting: deque[QueuedRequest] = deque()

    def submit(self, request: QueuedRequest) -> None:
        """Put a request behind those that are there."""
        self._waiting.append(request)

    def ensure_alive(self) -> None:
        """One more token of the first answer that has not ended, its model loaded before if need be."""
        if self._batch:
            self._batch.decode()
            return
        while self._waiting:
            request = self._waiting.popleft()
            if request.claim():
                self._read(request)
                return

    def position(self, request: QueuedRequest) -> Position | None:
        """Nobody waits: who asks writes."""

    def _read(self, request: QueuedRequest) -> None:
        request.timings.queue = request.lap()
        self._batch.running.append(request)
        try:
            request.runner.load()
        except Exception as error:
            self._batch.finish(request, "error", explain(error, "The model could not be loaded"))
            return
        self._batch.read(request.runner, [request])
        self._batch.read(request.runner, self._batch.take_starved())
