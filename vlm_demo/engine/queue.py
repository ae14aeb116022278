"""The queue: addresses take turns, and so do the sessions of each; nobody fills it alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from itertools import chain, zip_longest

from vlm_demo.engine.request import QueuedRequest
from vlm_demo.results import QueueFull, Visitor


class FairQueue:
    """Requests that wait, by address and session. Whoever calls holds the scheduler's lock.

    The address is that of a `Visitor`; any other session counts as an address of its own. Requests that were cancelled
    while they waited are gone from every answer.
    """

    def __init__(self, max_waiting: int, waiting_per_session: int, waiting_per_address: int) -> None:
        """At most `max_waiting` requests wait, and so many of a session and of an address."""
        self.max_waiting = max_waiting
        self.waiting_per_session, self.waiting_per_address = waiting_per_session, waiting_per_address
        # Addresses, and the sessions of each, in the order in which they take turns.
        self._queues: dict[Hashable, dict[Hashable, deque[QueuedRequest]]] = {}

    def __len__(self) -> int:
        self._purge()
        return sum(map(_total, self._queues.values()))

    def check_room(self, session: Hashable | None) -> None:
        """Raise QueueFull if a request of this session would be refused now; None is somebody new."""
        count = len(self)
        sessions = self._queues.get(_address(session), {})
        if session is not None and len(sessions.get(session, ())) >= self.waiting_per_session:
            raise QueueFull(
                f"{self.waiting_per_session} of your requests are waiting already. "
                "Let one finish, or press Stop, then try again."
            )
        if count >= self.max_waiting or _total(sessions) >= self.waiting_per_address:
            raise QueueFull("Too many people are waiting just now. Please try again in a few seconds.")

    def add(self, request: QueuedRequest) -> None:
        """Put a request behind those of its session."""
        sessions = self._queues.setdefault(_address(request.session), {})
        sessions.setdefault(request.session, deque()).append(request)

    def heads(self) -> list[QueuedRequest]:
        """The next request of each session, in the order of their turns: one session of each address, then another."""
        self._purge()
        heads = [[queue[0] for queue in sessions.values()] for sessions in self._queues.values()]
        return [head for head in chain.from_iterable(zip_longest(*heads)) if head is not None]

    def take(self, request: QueuedRequest) -> None:
        """Remove one of `heads`; the next turn of its session and address comes after everyone else's."""
        address = _address(request.session)
        sessions = self._queues.pop(address)
        queue = sessions.pop(request.session)
        queue.popleft()
        sessions[request.session] = queue
        self._queues[address] = sessions

    def position(self, request: QueuedRequest) -> int | None:
        """Where a request stands, 1 is next; None when it does not wait."""
        self._purge()
        address = _address(request.session)
        sessions = self._queues.get(address, {})
        own = sessions.get(request.session, ())
        if request not in own:
            return None
        turn = _turn(request.session, own.index(request), {name: len(queue) for name, queue in sessions.items()})
        return _turn(address, turn - 1, {name: _total(others) for name, others in self._queues.items()})

    def next_position(self) -> int:
        """Where somebody new would stand at worst: behind one turn of each session that waits."""
        self._purge()
        return sum(map(len, self._queues.values())) + 1

    def cancel(self) -> None:
        """Cancel all who wait."""
        for sessions in self._queues.values():
            for request in chain.from_iterable(sessions.values()):
                request.cancel()

    def _purge(self) -> None:
        """Drop requests that were cancelled, and sessions and addresses that wait for nothing."""
        for address, sessions in list(self._queues.items()):
            for session, queue in list(sessions.items()):
                alive = [request for request in queue if not request.cancelled]
                if not alive:
                    del sessions[session]
                elif len(alive) < len(queue):
                    sessions[session] = deque(alive)
            if not sessions:
                del self._queues[address]


def _address(session: Hashable) -> Hashable:
    return session.address if isinstance(session, Visitor) else session


def _total(sessions: Mapping[Hashable, deque[QueuedRequest]]) -> int:
    return sum(map(len, sessions.values()))


def _turn(own: Hashable, ahead: int, lengths: Mapping[Hashable, int]) -> int:
    """When all take turns in the order of `lengths`, which tells how much each has: the number of the turn, from 1, in
    which `own` has come through what is `ahead` of it in its own queue."""
    turn, earlier = ahead + 1, 1
    for name, length in lengths.items():
        if name == own:
            earlier = 0
        else:
            turn += min(length, ahead + earlier)
    return turn
