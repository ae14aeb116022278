"""Who runs what, and about which images: so that Stop and a new image reach one person's run and no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sized
from typing import TYPE_CHECKING

from vlm_demo.results import Result, Visitor

if TYPE_CHECKING:
    from vlm_demo.engine import Generation

Sources = tuple[str | None, ...]  # what the image slots of a tab hold, in order
UPDATE_SECONDS = 0.1  # at most ten updates of the page a second,
UPDATES = 50  # and about so many of all pages together: in a crowd each update would take time from the model


class Replaced(Exception):
    """A newer run of the same person on the same tab has taken over."""


class Run:
    """One press of a Run button: the generations behind it, and whether it was stopped."""

    def __init__(self, session: Visitor | str, everyone: Sized = (), model: str | None = None) -> None:
        """`everyone`: the runs in progress, which share the updates of all pages; `model`: the one that answers."""
        self.session = session  # the engine lets sessions take turns
        self.model = model
        self.everyone = everyone
        self.stopped = False
        self.replaced = False
        self.ended = False
        self._generations: list[Generation] = []

    def follow(self, *generations: Generation) -> Iterator[tuple[int, Result]]:
        """Yield (index, latest result) of generations that run at once, each in turn to its end.

        Ten times a second, or less often in a crowd.

        Raises Replaced when another run took over. Whatever ends this early cancels what is still being written.
        """
        self._generations = list(generations)
        try:
            if self.stopped:  # Stop was pressed before the model had started
                self.stop()
            for index, generation in enumerate(generations):
                for result in generation.partials(max(UPDATE_SECONDS, len(self.everyone) / UPDATES)):
                    if self.replaced:
                        raise Replaced
                    yield index, result
        finally:
            for generation in generations:
                generation.cancel()

    def stop(self) -> None:
        self.stopped = True
        for generation in self._generations:
            generation.cancel()

    def replace(self) -> None:
        """Stop, and show no more."""
        self.replaced = True
        self.stop()


class Sessions:
    """The runs in progress, by browser session and tab, so that Stop reaches this person's run and no other."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], Run] = {}
        self._about: dict[tuple[str, str], Sources] = {}  # the images that the results on a tab are about
        self._models: dict[str, str] = {}  # chosen by each browser session
        self._lock = threading.Lock()

    def choose(self, session: str, model: str) -> None:
        """From now on this model answers this person."""
        with self._lock:
            self._models[session] = model

    def model(self, session: str) -> str | None:
        """The model that a person has chosen; None for the engine's own."""
        with self._lock:
            return self._models.get(session)

    def start(self, session: str, tab: str, sources: Sources = (), address: str = "") -> Run:
        """A new run about some images, asked for from an address; an older one of the same person on the same tab
        ends."""
        with self._lock:
            run = Run(Visitor(session, address or session), self._runs, self._models.get(session))
            old = self._runs.get((session, tab))
            self._runs[session, tab] = run
            self._about[session, tab] = sources
        if old is not None:
            old.replace()
        return run

    def is_stale(self, session: str, tab: str, sources: Sources, adding: bool = False) -> bool:
        """Whether what a tab shows is about other images than those that it holds now.

        The images are compared, not the moments: a run may have begun about the new ones before this is asked. With
        `adding`, what was said about some images stays true when others come after them.
        """
        with self._lock:
            about = self._about.get((session, tab), sources)
            if about == sources:
                return False
            if adding and all(before in (None, now) for before, now in zip(about, sources, strict=True)):
                self._about[session, tab] = sources
                return False
            del self._about[session, tab]
            return True

    def running(self, session: str, tab: str) -> Run | None:
        with self._lock:
            return self._runs.get((session, tab))

    def finish(self, session: str, tab: str, run: Run) -> None:
        run.ended = True
        with self._lock:
            if self._runs.get((session, tab)) is run:
                del self._runs[session, tab]

    def stop(self, session: str, tab: str) -> None:
        run = self.running(session, tab)
        if run is not None:
            run.stop()

    def close(self, session: str) -> None:
        """Stop everything of a browser that has gone."""
        with self._lock:
            gone = [key for key in self._runs if key[0] == session]
            runs = [self._runs.pop(key) for key in gone]
            self._models.pop(session, None)
            self._about = {key: about for key, about in self._about.items() if key[0] != session}
        for run in runs:
            run.stop()
