"""The seam between the engine and what answers: a request goes in, a stream comes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Iterator
from dataclasses import dataclass
from typing import Protocol

from vlm_demo.description import Description
from vlm_demo.dialects import Dialect
from vlm_demo.results import Position, Request, Result
from vlm_demo.tasks import TASKS

CAPTION_STYLES = TASKS["caption"].prompts
BOX_CHANGES = TASKS["compare"].prompts["boxes"]


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do; by default what all our own models can.

    `tasks` by name, with the `caption_styles` of the table of tasks; at most `max_images` in a request; whether it
    finds what is named (`named_objects`), says what is in a box (`described_boxes`, which only some of ours learned)
    and boxes what changed (`boxed_changes`), keeps the earlier turns of a chat (`history`), keeps to given `choices`,
    whether its tokens carry `probabilities`, whether it writes `boxes`, and whether it lets people look inside
    (`inspection`).
    """

    tasks: frozenset[str] = frozenset(TASKS)
    caption_styles: frozenset[str] = frozenset(CAPTION_STYLES)
    max_images: int = max(task.max_images for task in TASKS.values())
    named_objects: bool = True
    described_boxes: bool = False
    boxed_changes: bool = True
    history: bool = True
    choices: bool = True
    probabilities: bool = True
    boxes: bool = True
    inspection: bool = False

    @classmethod
    def of(cls, dialect: Dialect, **others: bool) -> Capabilities:
        """What a family can do, and what `others` say of the way to it."""
        captions = dialect.captions or {}
        return cls(
            tasks=dialect.tasks,
            caption_styles=frozenset(style for style, words in CAPTION_STYLES.items() if words in captions),
            max_images=dialect.max_images,
            named_objects=dialect.detect_named is not None,
            boxed_changes=False,
            history=dialect.chat,
            boxes="detect" in dialect.tasks,
            **others,
        )


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

    def close(self) -> None:
        """End what goes on for it beside the engine's worker, for good."""
