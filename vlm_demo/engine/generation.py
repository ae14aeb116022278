"""An answer that is written in this process, on its way."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Hashable, Iterator
from dataclasses import replace
from typing import Protocol

from vlm_demo.detection import Parsed, parse
from vlm_demo.engine.request import QueuedRequest
from vlm_demo.results import Position, Request, Result
from vlm_demo.runners.base import ModelRunner, TokenSequence
from vlm_demo.tasks import TASKS


class Driver(Protocol):
    """What writes the answers, as far as one of them needs it."""

    def submit(self, request: QueuedRequest) -> None:
        """Take a request over."""

    def ensure_alive(self) -> None:
        """See to it that the answer goes on."""

    def position(self, request: QueuedRequest) -> Position | None:
        """Where a request waits; None when it does not."""


def begin(
    driver: Driver,
    runner: ModelRunner,
    sequence: TokenSequence,
    request: Request,
    draft: Result,
    session: Hashable | None = None,
) -> LocalGeneration:
    """Hand a sequence over to what shall write it; `draft` holds what is known of the result."""
    queued = QueuedRequest(runner, sequence, session, request.sampling.stop)
    driver.submit(queued)
    first = next(image for message in request.messages for image in message.images)
    return LocalGeneration(driver, queued, draft, first.size)


class LocalGeneration:
    """A `vlm_demo.backends.base.Generation` of the scheduler. Dropping the object cancels it, too."""

    def __init__(self, scheduler: Driver, request: QueuedRequest, draft: Result, size: tuple[int, int]) -> None:
        """`draft` holds what is known of the result before it is written; `size` is that of the first image."""
        self._scheduler, self._request, self._size = scheduler, request, size
        self._draft = draft
        self._final: Result | None = None

    def __iter__(self) -> Iterator[Result]:
        return self.partials()

    def partials(self, interval: float = 0.05) -> Iterator[Result]:
        """Yield a Result at once, then whenever it changed, at most every `interval` seconds; the last one is final."""
        request = self._request
        try:
            if not request.done.is_set():  # the position; and a web server can only end what has begun to yield
                yield self._snapshot()
            while not request.done.is_set():
                self._scheduler.ensure_alive()
                changed = request.changed.wait(timeout=0.5)
                request.changed.clear()
                if request.done.is_set():
                    break
                if changed or not request.sequence.outputs:  # while waiting, the position in the queue is news
                    yield self._snapshot()
                    request.done.wait(timeout=interval)
            yield self.result()
        finally:
            if not request.done.is_set():
                self.cancel()

    async def updates(self, interval: float = 0.05) -> AsyncIterator[Result]:
        """Like `partials`, for an event loop: whoever waits holds no thread."""
        request = self._request
        try:
            if not request.done.is_set():
                yield self._snapshot()
            while not request.done.is_set():
                self._scheduler.ensure_alive()
                changed = await request.changed.wait_async(timeout=0.5)
                request.changed.clear()
                if request.done.is_set():
                    break
                if changed or not request.sequence.outputs:
                    yield self._snapshot()
                    await request.done.wait_async(timeout=interval)
            yield self.result()
        finally:
            if not request.done.is_set():
                self.cancel()

    def result(self) -> Result:
        """Wait for the end and return the final Result."""
        while not self._request.done.wait(timeout=1.0):
            self._scheduler.ensure_alive()
        if self._request.error is not None:
            raise self._request.error
        return self._snapshot()

    def cancel(self) -> None:
        """End this answer at the next token; what is written so far stays."""
        self._request.cancel()

    @property
    def done(self) -> bool:
        return self._request.done.is_set()

    @property
    def position(self) -> Position | None:
        """Where this request waits in the queue ("you are 7th, about 4 s"), or None when it does not wait."""
        return self._scheduler.position(self._request)

    def __del__(self) -> None:
        request = getattr(self, "_request", None)
        if request is not None and not request.done.is_set():
            request.cancel()

    def _snapshot(self) -> Result:
        if self._final is not None:
            return self._final
        request, sequence = self._request, self._request.sequence
        finished = request.done.is_set()  # asked once: what ends meanwhile is not half ended in this snapshot
        outputs = request.outputs
        request.detokenizer.feed(outputs)
        tokens = request.detokenizer.tokens(finished)
        timings = replace(request.timings)
        if not finished and outputs:
            timings.decode = time.perf_counter() - request.mark
        result = replace(
            self._draft,
            text="".join(token.text for token in tokens),
            tokens=tokens,
            timings=timings,
            new_tokens=len(outputs),
            finish_reason=request.finish_reason if finished else "running",
            outside=any(novelty.outside for novelty in sequence.novelty),
            novelty=[novelty.score for novelty in sequence.novelty if novelty.score is not None],
            reduced=sequence.reduced,
            prompt_tokens=len(sequence.prompt.ids),
            position=None if finished or outputs else self.position,
        )
        if finished:
            result.parsed = self._parse(result)
            about = getattr(request.runner, "description", None)
            question = result.prompt.removeprefix(TASKS[result.task].tag).strip()
            if about is not None and about.calibration:
                result.calibrated = True
                if result.task == "vqa" and result.confidence is not None:
                    kind = about.answer_kind(question, result.text)
                    result.chance = about.calibrated(kind, result.confidence)
            if about is not None and about.familiarity and result.task in ("vqa", "compare") and not result.parsed:
                result.unfamiliar = about.familiarity.is_unfamiliar(question, result.tokens)
            self._final = result
        return result

    def _parse(self, result: Result) -> Parsed | None:
        boxes = result.task == "detect" or (result.task == "compare" and result.text.startswith("{"))
        if not boxes:
            return None
        own = getattr(self._request.runner, "read_boxes", None)  # a model may have a form of its own, or know more
        if own is not None:
            return own(result, self._size, self._request.sequence)
        return parse(result.text, self._size, [(token.text, token.probability) for token in result.tokens])
