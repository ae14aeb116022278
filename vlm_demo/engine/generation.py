"""An answer on its way: what the engine's streaming methods return."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vlm_demo.detection import Parsed, parse
from vlm_demo.engine.request import Request
from vlm_demo.engine.scheduler import Scheduler
from vlm_demo.results import Position, Result, Token
from vlm_demo.runners.base import TokenOutput


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
        """Where this request stands in the queue ("you are 7th, about 4 s"), or None when it does not wait."""
        return self._scheduler.position(self._request)

    def __del__(self) -> None:
        request = getattr(self, "_request", None)
        if request is not None and not request.done.is_set():
            request.cancel()

    def _snapshot(self) -> Result:
        request, sequence = self._request, self._request.sequence
        with self._lock:
            if self._final is not None:
                return self._final
            finished = request.done.is_set()
            outputs = request.outputs
            self._read(outputs)
            if finished:
                self._cut(request.stop)
            timings = replace(request.timings)
            if not finished and outputs:
                timings.decode = time.perf_counter() - request.mark
            result = replace(
                self._draft,
                text="".join(token.text for token in self._tokens),
                tokens=list(self._tokens),
                model=request.runner.name,
                prompt_tokens=len(sequence.prompt.ids),
                dropped_turns=self._draft.dropped_turns + sequence.prompt.dropped_turns,
                timings=timings,
                new_tokens=len(outputs),
                finish_reason=request.finish_reason,
                outside=any(novelty.outside for novelty in sequence.novelty),
                novelty=[novelty.score for novelty in sequence.novelty if novelty.score is not None],
                position=None if finished or outputs else self.position,
            )
            if finished:
                result.parsed = self._parse(result)
                self._final = result
            return result

    def _read(self, outputs: list[TokenOutput]) -> None:
        """Turn new tokens into text. A token that ends within a character has empty text; the next one completes it."""
        runner = self._request.runner
        for index in range(len(self._tokens), len(outputs)):
            output = outputs[index]
            if output.end:
                break
            context, read = self._offsets
            before = runner.text([one.id for one in outputs[context:read]])
            after = runner.text([one.id for one in outputs[context : index + 1]])
            text = ""
            if len(after) > len(before) and not after.endswith("\ufffd"):
                text = after[len(before) :]
                self._offsets = [read, index + 1]
            if not self._started:
                text = text.lstrip()
                self._started = bool(text)
            top = [(runner.token_text(id), probability) for id, probability in output.top]
            self._tokens.append(Token(output.id, text, output.probability, top))

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
        return parse(result.text, self._size, [(token.text, token.probability) for token in result.tokens])
