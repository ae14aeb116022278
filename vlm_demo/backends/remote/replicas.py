"""Several servers behind one name: the least busy one is chosen, a dead one is left out until it answers again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from vlm_demo.results import EngineError


@dataclass(eq=False)
class Replica:
    """One server: its address, how many answers it is writing for us, and whether it is left out."""

    url: str
    busy: int = 0
    dead: bool = False


class Replicas:
    """Who answers next. May be used from any thread."""

    def __init__(
        self, name: str, urls: Sequence[str], answers: Callable[[str], bool], probe_seconds: float = 2.0
    ) -> None:
        """`answers` says of an address whether its server is there; a dead one is asked every `probe_seconds`."""
        if not urls:
            raise EngineError(f"{name} needs the address of at least one server.")
        self.all = [Replica(url) for url in urls]
        self._answers, self._probe_seconds = answers, probe_seconds
        self._lock = threading.Lock()
        self._prober: threading.Thread | None = None
        self._closed = threading.Event()

    @contextmanager
    def borrow(self, avoid: Replica | None = None) -> Iterator[Replica]:
        """The least busy server, another than `avoid` where there is one; it counts as busier until it is returned.

        Where all are dead, one of them: it may be back already, and if not it says why.
        """
        with self._lock:
            alive = [replica for replica in self.all if not replica.dead]
            replica = min(alive or self.all, key=lambda one: (one is avoid, one.busy))
            replica.busy += 1
        try:
            yield replica
        finally:
            with self._lock:
                replica.busy -= 1

    def leave_out(self, replica: Replica) -> None:
        """A server is dead; it comes back by itself once it answers."""
        with self._lock:
            replica.dead = True
            if self._prober is None and not self._closed.is_set():
                self._prober = threading.Thread(target=self._probe, name="probe", daemon=True)
                self._prober.start()

    def close(self) -> None:
        """Ask no more whether dead servers are back."""
        self._closed.set()

    def _probe(self) -> None:
        """Ask the dead ones every now and then, until there are none."""
        while not self._closed.wait(self._probe_seconds):
            back = [replica for replica in self.all if replica.dead and self._answers(replica.url)]
            with self._lock:
                for replica in back:
                    replica.dead = False
                if not any(replica.dead for replica in self.all):
                    self._prober = None
                    return
