"""The seam between the engine and what answers: a request goes in, a stream comes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Iterator
from dataclasses import dataclass
from typing import Protocol

from vlm_demo.description import Description
from vlm_demo.results import Position, Request, Result


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do.

    `tasks` by name, at most `max_images` in a request, whether its tokens carry `probabilities`, whether it writes
    `boxes`, and whether it lets people look inside (`inspection`).
    """

    tasks: frozenset[str]
    max_images: int
    probabilities: bool
    boxes: bool
    inspection: bool


class Generation(Protocol):
    """An answer on its way. Iterate for partial Results (the last one is final), or wait with `result()`.

    `cancel()` ends it at the next token and keeps the text so far; so does leaving the iteration early. What went wrong
    is raised as EngineError.
    """

    def __iter__(self) -> Iterator[Result]: ...

    def partials(self, interval: float = 0.05) -> Iterator[Result]:
        """Yield a Result at once, then whenever it changed, at most every `interval` seconds; the last one is final."""

    def updates(self, interval: float = 0.05) -> AsyncIterator[Result]:
        """Like `partials`, for an event loop: whoever waits holds no thread."""

    def result(self) -> Result:
        """Wait for the end and return the final Result."""

    def cancel(self) -> None:
        """End this answer at the next token; what is written so far stays."""

    @property
    def done(self) -> bool: ...

    @property
    def position(self) -> Position | None:
        """Where the request waits in a queue; None when it does not wait, or when nobody knows."""


class Backend(Protocol):
    """One model, wherever it runs.

    `stream` and the attributes may be used from any thread; `load` and `unload` are called by the engine's worker.
    """

    name: str
    loaded: bool

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def description(self) -> Description:
        """What the model says of itself."""

    def load(self) -> None:
        """Make the model ready, if it is not."""

    def unload(self) -> None:
        """Free what it takes."""

    def memory(self) -> tuple[int, int]:
        """Bytes (allocated, reserved) on the device of this process; zeros where it runs elsewhere."""

    def stream(self, request: Request, session: Hashable | None = None) -> Generation:
        """Begin an answer. The request has been checked, each of its images is a LoadedImage; raises EngineError.

        `session` stands for one user: sessions take turns.
        """
