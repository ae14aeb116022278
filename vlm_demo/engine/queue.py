"""The queue: sessions take turns, and nobody fills it alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from vlm_demo.engine.request import QueuedRequest
from vlm_demo.results import QueueFull


class FairQueue:
    """Requests that wait, session by session. Whoever calls holds the scheduler's lock.

    Requests that were cancelled while they waited are gone from every answer.
    """

    def __init__(self, max_waiting: int, waiting_per_session: int) -> None:
        """At most `max_waiting` requests wait, and `waiting_per_session` of a session."""
        self.max_waiting, self.waiting_per_session = max_waiting, waiting_per_session
        self._queues: dict[Hashable, deque[QueuedRequest]] = {}  # in the order in which sessions take turns

    def __len__(self) -> int:
        self._purge()
        return sum(map(len, self._queues.values()))

    def check_room(self, session: Hashable | None) -> None:
        """Raise QueueFull if a request of this session would be refused now; None is somebody new."""
        count = len(self)
        if session is not None and len(self._queues.get(session, ())) >= self.waiting_per_session:
            raise QueueFull(
                f"{self.waiting_per_session} of your requests are waiting already. "
                "Let one finish, or press Stop, then try again."
            )
        if count >= self.max_waiting:
            raise QueueFull("Too many people are waiting just now. Please try again in a few seconds.")

    def add(self, request: QueuedRequest) -> None:
        """Put a request behind those of its session."""
        self._queues.setdefault(request.session, deque()).append(request)

    def heads(self) -> list[QueuedRequest]:
        """The next request of each session, in the order of their turns."""
        self._purge()
        return [queue[0] for queue in self._queues.values()]

    def take(self, request: QueuedRequest) -> None:
        """Remove one of `heads`; the next turn of its session comes after everyone else's."""
        queue = self._queues.pop(request.session)
        queue.popleft()
        self._queues[request.session] = queue

    def position(self, request: QueuedRequest) -> int | None:
        """Where a request stands, 1 is next; None when it does not wait."""
        self._purge()
        own = self._queues.get(request.session)
        if not own or request not in own:
            return None
        rounds = own.index(request)  # full rounds of turns before its own
        position, before = rounds + 1, 1
        for session, queue in self._queues.items():
            if session == request.session:
                before = 0
            else:
                position += min(len(queue), rounds + before)
        return position

    def next_position(self) -> int:
        """Where somebody new would stand: behind one turn of each session that waits."""
        self._purge()
        return len(self._queues) + 1

    def cancel(self) -> None:
        """Cancel all who wait."""
        for queue in self._queues.values():
            for request in queue:
                request.cancel()

    def _purge(self) -> None:
        """Drop requests that were cancelled, and sessions that wait for nothing."""
        for session, queue in list(self._queues.items()):
            alive = [request for request in queue if not request.cancelled]
            if not alive:
                del self._queues[session]
            elif len(alive) < len(queue):
                self._queues[session] = deque(alive)
