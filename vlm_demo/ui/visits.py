"""Who is here. A visit lasts through reloads, lost connections and sleep, and holds what its page shows.

A page has a new name, its session, each time it loads. A random token that the browser keeps for the tab tells that it
is the same visit. Everything here may be used from any thread.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from vlm_demo.results import Visitor

from .runs import Run, Sources, Updates

MOST = 1000  # visits that can be come back to; the one that came first goes for a new one
TOKEN_LENGTH = 32


@dataclass(eq=False)
class Visit:
    """One tab of a browser, as long as it is open, or closed so lately that it may come back."""

    name: str  # the session of its first page; the engine lets them take turns
    model: str | None = None  # that was chosen, None: the engine's own
    images: Updates = field(default_factory=dict)  # what the components of the image panel hold
    about: dict[str, Sources] = field(default_factory=dict)  # by tab: the images that its results are about
    runs: dict[str, Run] = field(default_factory=dict)  # by tab: the last one
    sessions: set[str] = field(default_factory=set)  # of its pages
    unasked: set[str] = field(default_factory=set)  # the tabs that have had their chance to answer unasked
    back: dict[str, float] = field(default_factory=dict)  # when each page that loaded again did so


class Sessions:
    """The visits by the session of their pages, and the runs in progress: Stop reaches this person's and no other."""

    def __init__(self) -> None:
        self._visits: dict[str, Visit] = {}  # by session
        self._tokens: dict[str, Visit] = {}
        self._running: set[Run] = set()
        self._lock = threading.RLock()

    def visit(self, session: str) -> Visit:
        """The visit that a page belongs to."""
        with self._lock:
            if session not in self._visits:
                self._visits[session] = Visit(session, sessions={session})
                if len(self._visits) > 4 * MOST:  # of which some are pages of one visit, and others have no token
                    self._end(next(iter(self._visits.values())))
            return self._visits[session]

    def attach(self, session: str, token: str) -> Visit:
        """A page has loaded: it belongs to the visit of this token, which may be a new one."""
        with self._lock:
            if len(token) != TOKEN_LENGTH:
                return self.visit(session)
            visit = self._tokens.setdefault(token, self.visit(session))
            if session not in visit.sessions:
                visit.sessions.add(session)
                visit.back[session] = time.monotonic()
            self._visits[session] = visit
            if len(self._tokens) > MOST:
                self._end(next(iter(self._tokens.values())))
            return visit

    def choose(self, session: str, model: str) -> None:
        """From now on this model answers this person."""
        self.visit(session).model = model

    def model(self, session: str) -> str | None:
        """The model that a person has chosen; None for the engine's own."""
        with self._lock:
            return self._visits[session].model if session in self._visits else None

    def start(self, session: str, tab: str, sources: Sources = (), address: str = "") -> Run:
        """A new run about some images, asked for from an address; an older one of the same person on the same tab
        ends."""
        with self._lock:
            visit = self.visit(session)
            old = visit.runs.get(tab)
            run = visit.runs[tab] = self._new(visit.name, address, visit.model)
            visit.about[tab] = sources
        if old is not None:
            old.replace()
        return run

    def call(self, session: str, address: str = "") -> Run:
        """A new run of a program, which has no page: it may have several at once."""
        with self._lock:
            return self._new(session, address, self.model(session))

    def is_stale(self, session: str, tab: str, sources: Sources, adding: bool = False) -> bool:
        """Whether what a tab shows is about other images than those that it holds now.

        The images are compared, not the moments: a run may have begun about the new ones before this is asked. With
        `adding`, what was said about some images stays true when others come after them.
        """
        with self._lock:
            visit = self.visit(session)
            about = visit.about.get(tab, sources)
            if about == sources:
                return False
            if adding and all(before in (None, now) for before, now in zip(about, sources, strict=True)):
                visit.about[tab] = sources
                return False
            del visit.about[tab]
            return True

    def running(self, session: str, tab: str) -> Run | None:
        with self._lock:
            run = self.visit(session).runs.get(tab)
            return None if run is None or run.ended else run

    def forget(self, session: str, tab: str) -> Run | None:
        """End what a tab shows for good; returns the run that may still have to stop."""
        with self._lock:
            run = self.visit(session).runs.pop(tab, None)
        if run is not None:
            run.replace()
        return run

    def finish(self, run: Run) -> None:
        with self._lock:
            self._running.discard(run)
        run.end()

    def show(self, session: str, tab: str, updates: Updates) -> None:
        """What a tab shows has been changed by something else than a run."""
        with self._lock:
            run = self.visit(session).runs.get(tab)
        if run is not None:
            run.show(updates)

    def stop(self, session: str, tab: str) -> None:
        run = self.running(session, tab)
        if run is not None:
            run.stop()

    def close(self, session: str) -> None:
        """A page will not come back; with the last one of its visit everything ends that runs there."""
        with self._lock:
            visit = self._visits.pop(session, None)
            if visit is not None:
                visit.sessions.discard(session)
                visit.back.pop(session, None)
                if not visit.sessions:
                    self._end(visit)

    def _new(self, name: str, address: str, model: str | None) -> Run:
        run = Run(Visitor(name, address or name), self._running, model)
        self._running.add(run)
        return run

    def _end(self, visit: Visit) -> None:
        self._tokens = {token: one for token, one in self._tokens.items() if one is not visit}
        for session in visit.sessions:
            self._visits.pop(session, None)
        for run in visit.runs.values():
            run.stop()
