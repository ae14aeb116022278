"""An answer on its way: what the engine's streaming methods return."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vlm_demo.backends import Step
from vlm_demo.request import Request
from vlm_demo.results import Place, Result, Token
from vlm_demo.scheduler import Scheduler

if TYPE_CHECKING:
    from vlm_demo.detections import Parsed


class Generation:
    """An answer on its way. Iterate for partial Results (the last one is final), or wait with `result()`.

    `cancel()` ends it at the next token and keeps the text so far; so does leaving the iteration early or dropping the
    object. What went wrong is raised as EngineError.
    """

    def __init__(self, scheduler: Scheduler, request: Request, draft: Result, size: tuple[int, int]) -> None:
        self._scheduler, self._request, self._size = scheduler, request, size
        self._draft = draft
        self._lock = threading.Lock()
        self._tokens: list[Token] = []
        self._offsets = [0, 0]  # tokens that give context to the decoder, tokens already turned into text
        self._started = False  # has any text that is not space been seen
        self._final: Result | None = None

    def __iter__(self) -> Iterator[Result]:
        return self.partials()

    def partials(self, interval: float = 0.05) -> Iterator[Result]:
        """Yield a Result at once, then whenever it changed, at most every `interval` seconds; the last one is final."""
        request = self._request
        try:
            if not request.done.is_set():  # the place in line; and a web server can only end what has begun to yield
                yield self._snapshot()
            while not request.done.is_set():
                self._scheduler.ensure_alive()
                changed = request.changed.wait(timeout=0.5)
                request.changed.clear()
                if request.done.is_set():
                    break
                if changed or not request.row.steps:  # while waiting, the place in line is news
                    yield self._snapshot()
                    request.done.wait(timeout=interval)
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
    def place(self) -> Place | None:
        """Where this request stands in line ("you are 7th, about 4 s"), or None when it does not wait."""
        return self._scheduler.place(self._request)

    def __del__(self) -> None:
        request = getattr(self, "_request", None)
        if request is not None and not request.done.is_set():
            request.cancel()

    def _snapshot(self) -> Result:
        request, row = self._request, self._request.row
        with self._lock:
            if self._final is not None:
                return self._final
            finished = request.done.is_set()
            steps = request.steps
            self._read(steps)
            if finished:
                self._cut(request.stop)
            timings = replace(request.timings)
            if not finished and steps:
                timings.decode = time.perf_counter() - request.mark
            result = replace(
                self._draft,
                text="".join(token.text for token in self._tokens),
                tokens=list(self._tokens),
                model=request.backend.name,
                prompt_tokens=len(row.prompt.ids),
                dropped_turns=self._draft.dropped_turns + row.prompt.dropped_turns,
                timings=timings,
                new_tokens=len(steps),
                finish=request.finish,
                outside=any(novelty.outside for novelty in row.novelty),
                novelty=[novelty.score for novelty in row.novelty if novelty.score is not None],
                place=None if finished or steps else self.place,
            )
            if finished:
                result.parsed = self._parse(result)
                self._final = result
            return result

    def _read(self, steps: list[Step]) -> None:
        """Turn new tokens into text. A token that ends within a character has empty text; the next one completes it."""
        backend = self._request.backend
        for index in range(len(self._tokens), len(steps)):
            step = steps[index]
            if step.end:
                break
            context, read = self._offsets
            before = backend.text([one.id for one in steps[context:read]])
            after = backend.text([one.id for one in steps[context : index + 1]])
            text = ""
            if len(after) > len(before) and not after.endswith("\ufffd"):
                text = after[len(before) :]
                self._offsets = [read, index + 1]
            if not self._started:
                text = text.lstrip()
                self._started = bool(text)
            top = [(backend.piece(id), probability) for id, probability in step.top]
            self._tokens.append(Token(step.id, text, step.probability, top))

    def _cut(self, stops: Sequence[str]) -> None:
        """Drop what was written from the first stop on."""
        text = "".join(token.text for token in self._tokens)
        found = [text.find(stop) for stop in stops if stop in text]
        if not found:
            return
        kept, room = [], min(found)
        for token in self._tokens:
            if room <= 0:
                break
            kept.append(replace(token, text=token.text[:room]))
            room -= len(token.text)
        self._tokens = kept

    def _parse(self, result: Result) -> Parsed | None:
        boxes = result.task == "detect" or (result.task == "compare" and result.text.startswith("{"))
        if not boxes:
            return None
        own = getattr(self._request.backend, "read_boxes", None)  # another family writes boxes in a form of its own
        if own is not None:
            return own(result.text, self._size, self._request.row.prompt) if result.task == "detect" else None
        from vlm_demo import detections  # supervision is slow to import; only boxes need it

        return detections.parse(result.text, self._size, [(token.text, token.probability) for token in result.tokens])
