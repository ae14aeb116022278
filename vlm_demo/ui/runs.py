"""Runs: one press of a button each, with the generations behind it and all that it has shown, whoever looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sized
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool as in_thread

from vlm_demo.results import Result, Visitor

if TYPE_CHECKING:
    from vlm_demo.engine import Generation

Updates = dict[Any, Any]  # component -> what gradio takes for it: a value, or a gr.update
Sources = tuple[str | None, ...]  # what the image slots of a tab hold, in order
UPDATE_SECONDS = 0.1  # at most ten updates of the page a second,
UPDATES = 50  # and about so many of all pages together: in a crowd each update would take time from the model


class Replaced(Exception):
    """A newer run of the same person on the same tab has taken over."""


class Run:
    """What one press of a button set going. It goes on while nobody looks: a page that comes back watches it again.

    All methods but `stop` are for the event loop.
    """

    def __init__(self, session: Visitor | str, everyone: Sized = (), model: str | None = None) -> None:
        """`everyone`: the runs in progress, which share the updates of all pages; `model`: the one that answers."""
        self.session = session  # the engine lets sessions take turns
        self.model = model
        self.everyone = everyone
        self.stopped = False
        self.replaced = False
        self.ended = False
        self.inputs: Updates = {}  # what was asked for
        self.shown: Updates = {}  # all updates together
        self.watchers = 0
        self.count = 0  # of updates
        self._latest: dict[Any, int] = {}  # component -> its last update
        self._news = asyncio.Event()
        self._generations: list[Generation] = []
        self._task: asyncio.Task[None] | None = None

    def go(self, work: Any) -> None:
        """Begin a coroutine that shows and ends this run."""
        self._task = asyncio.create_task(work)

    async def follow(self, *starts: Callable[[], Generation]) -> AsyncIterator[tuple[int, Result]]:
        """Start generations that run at once; yield (index, latest result) of each in turn to its end.

        Ten times a second, or less often in a crowd. Images are made ready in a thread meanwhile.

        Raises Replaced when another run took over. Whatever ends this early cancels what is still being written.
        """
        try:
            for start in starts:
                self._generations.append(await in_thread(start))
            if self.stopped:  # Stop was pressed before the model had started
                self.stop()
            for index, generation in enumerate(list(self._generations)):
                async for result in generation.updates(max(UPDATE_SECONDS, len(self.everyone) / UPDATES)):
                    if self.replaced:
                        raise Replaced
                    yield index, result
        finally:
            for generation in self._generations:
                generation.cancel()
            self._generations = []

    def show(self, updates: Updates) -> None:
        """Let everybody who watches see these updates."""
        self.count += 1
        for component, update in updates.items():
            self.shown[component] = _merged(self.shown.get(component), update)
            self._latest[component] = self.count
        self._tell()

    async def watch(self, seen: int = 0) -> AsyncIterator[Updates]:
        """Yield what is shown, those after the first `seen` updates, until the end; nothing once a newer run is on."""
        self.watchers += 1
        try:
            while not self.replaced:
                updates = {part: self.shown[part] for part, number in self._latest.items() if number > seen}
                seen = self.count
                if updates:
                    yield _copied(updates)
                if self.count == seen and not self.replaced:
                    if self.ended:
                        return
                    await self._news.wait()
        finally:
            self.watchers -= 1

    def again(self) -> Updates:
        """What was asked for and is shown, for a page that has lost it."""
        updates = dict(self.inputs)
        for component, update in self.shown.items():
            updates[component] = _merged(updates.get(component), update)
        return _copied(updates)

    def end(self) -> None:
        """Nothing more will be shown."""
        self.ended = True
        self._tell()

    def stop(self) -> None:
        self.stopped = True
        for generation in self._generations:
            generation.cancel()

    def replace(self) -> None:
        """Stop, and show no more."""
        self.replaced = True
        self.stop()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _is_update(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update"


def _copied(updates: Updates) -> Updates:
    """gradio takes values out of the updates that it is given."""
    return {component: dict(one) if _is_update(one) else one for component, one in updates.items()}


def _merged(before: Any, update: Any) -> Any:
    """What a component shows when `update` has come after `before`."""
    if _is_update(update):
        if before is None:
            return dict(update)
        return (before if _is_update(before) else {"value": before}) | update
    return before | {"value": update} if _is_update(before) else update
