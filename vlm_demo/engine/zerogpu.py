"""Models on a ZeroGPU Space, where a GPU exists only inside a function marked with `spaces.GPU`.

Each call of such a function runs in a process of its own, which is forked from this one and has a GPU; what it yields
comes back pickled (https://huggingface.co/docs/hub/spaces-zerogpu). So the models are loaded there and answer one
request at a time, without the scheduler's thread, and the Space's own queue takes the place of ours.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache, partial

from vlm_demo.backends.base import Capabilities
from vlm_demo.backends.local import LocalBackend
from vlm_demo.description import Description
from vlm_demo.engine.generation import begin
from vlm_demo.engine.inline import Inline
from vlm_demo.results import EngineError, Request, Result, explain
from vlm_demo.runners.choose import open_runner
from vlm_demo.tasks import task_prompt

SECONDS = 30  # of a GPU that one answer may take; the shorter, the sooner the Space's queue gives one

Write = Callable[[str, str, Request], Iterator[Result | EngineError]]


def on_zero_gpu() -> bool:
    """Whether this process is the page of a ZeroGPU Space."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def marked(function: Write) -> Write:
    """A function marked with `spaces.GPU` where that exists, else as it is."""
    if not on_zero_gpu():
        return function
    import spaces  # of the Space's own image; it must be imported before anything touches CUDA

    return spaces.GPU(duration=SECONDS)(function)


@cache
def local(source: str, dtype: str) -> LocalBackend:
    """A model as the process that has the GPU runs it; where the next request comes to the same one, it is loaded."""
    return LocalBackend(open_runner(source, "auto", dtype), partial(begin, Inline()))


@marked
def write(source: str, dtype: str, request: Request) -> Iterator[Result | EngineError]:
    """All states of an answer, or the error that ended it: an exception would lose its words on the way."""
    try:
        yield from local(source, dtype).stream(request).partials(0.0)
    except EngineError as error:
        yield error


class ZeroGpuBackend:
    """A model of this Space, as `vlm_demo.backends.base.Backend`."""

    loaded = True  # whoever asks need not wait for that here

    def __init__(self, source: str, dtype: str) -> None:
        self._source, self._dtype = source, dtype
        self._local = local(source, dtype)  # it is loaded in forked processes alone

    @property
    def name(self) -> str:
        return self._local.name

    @property
    def capabilities(self) -> Capabilities:
        return self._local.capabilities

    @property
    def description(self) -> Description:
        return self._local.description

    def load(self) -> None:
        """Import what takes long to import, so that forked processes have it. There is no GPU here."""
        from vlm_demo.model import MiniVLMForConditionalGeneration  # noqa: F401
        from vlm_demo.runners import batched, eager, vision  # noqa: F401

    def unload(self) -> None:
        """Nothing is held here."""

    def close(self) -> None:
        """Nothing goes on here."""

    def memory(self) -> tuple[int, int]:
        return 0, 0

    def stream(self, request: Request, session: Hashable | None = None) -> ForkedAnswer:
        """An answer from a process with a GPU, which is asked for when the answer is iterated."""
        draft = Result(task=request.task, prompt=task_prompt(request.task, request.messages[-1].text), model=self.name)
        return ForkedAnswer(lambda: write(self._source, self._dtype, request), draft)


class ForkedAnswer:
    """A `vlm_demo.backends.base.Generation` that another process writes, to be iterated once."""

    position = None  # the Space's queue tells nobody where one waits

    def __init__(self, begin: Callable[[], Iterator[Result | EngineError]], draft: Result) -> None:
        self._begin, self._result = begin, draft
        self._cancelled = False
        self.done = False

    def __iter__(self) -> Iterator[Result]:
        return self.partials()

    def partials(self, interval: float = 0.05) -> Iterator[Result]:
        """Yield a Result at once, then every one that comes; the last one is final."""
        yield self._result
        try:
            with closing(self._begin()) as states:  # which ends the other process at its next token
                for state in states:
                    if isinstance(state, EngineError):
                        raise state
                    self._result = state
                    if self._cancelled and state.finish_reason == "running":
                        break
                    yield state
        except Exception as error:  # the Space has no GPU left for this visitor, for one
            raise explain(error, "There was no GPU for this") from error
        finally:
            self.done = True
        if self._result.finish_reason == "running":
            self._result = replace(self._result, finish_reason="cancelled")
            yield self._result

    async def updates(self, interval: float = 0.05) -> AsyncIterator[Result]:
        """Like `partials`, for an event loop; the next state is waited for in a thread."""
        states = self.partials(interval)
        try:
            while (state := await asyncio.to_thread(next, states, None)) is not None:
                yield state
        finally:
            self.cancel()
            with suppress(ValueError):  # the thread is still waiting; it will see that this was cancelled
                states.close()

    def result(self) -> Result:
        """Wait for the end and return the final Result."""
        if not self.done:
            for _ in self.partials():
                pass
        return self._result

    def cancel(self) -> None:
        """End this answer at the next token; what is written so far stays."""
        self._cancelled = True
