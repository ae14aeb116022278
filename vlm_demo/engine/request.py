"""One request on its way from the queue to its last token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence

from vlm_demo.results import EngineError, Timings, explain
from vlm_demo.runners.base import ModelRunner, Prompt, TokenOutput, TokenSequence


class Request:
    """A sequence on its way through the scheduler, watched by one consumer through `changed` and `done`."""

    def __init__(
        self,
        sequence: TokenSequence,
        runner: ModelRunner,
        prepare_again: Callable[[ModelRunner], Prompt],
        session: Hashable | None = None,
        stop: Sequence[str] = (),
    ) -> None:
        """The sequence's prompt was made for `runner`; `prepare_again` makes one for another, should that take over.

        Each of the texts in `stop` ends the answer.
        """
        self.sequence = sequence  # another one's, when that one writes the same
        self.runner = runner
        self._prepare: Callable[[ModelRunner], Prompt] | None = prepare_again
        self.limit = sequence.prompt.max_new_tokens  # tokens that it may write
        self.stop = stop
        self._searched = 0  # tokens in which no stop was found
        self.session: Hashable = self if session is None else session  # nameless requests are sessions of their own
        self.timings = Timings()
        self.finish_reason = "running"
        self.error: EngineError | None = None
        self._length: int | None = None  # of its own part of the sequence, once it has ended
        self.claimed = False
        self.cancelled = False
        self._lock = threading.Lock()
        self.changed = threading.Event()
        self.done = threading.Event()
        self.mark = time.perf_counter()  # when the present stage began

    @property
    def outputs(self) -> list[TokenOutput]:
        """What is written for this request; its sequence may go on for others."""
        return self.sequence.outputs[: self.limit if self._length is None else self._length]

    def stopped(self, read: Callable[[list[int]], str]) -> bool:
        """Whether a stop has been written; `read` makes text of token ids. What follows it is not this request's."""
        if not self.stop:
            return False
        ids = [output.id for output in self.outputs if not output.end]
        while self._searched < len(ids):
            self._searched += 1
            text = read(ids[: self._searched])
            if any(stop in text for stop in self.stop):
                self.limit = self._searched
                return True
        return False

    def lap(self) -> float:
        """Seconds since the present stage began; the next one begins now."""
        before, self.mark = self.mark, time.perf_counter()
        return self.mark - before

    def claim(self, runner: ModelRunner) -> bool:
        """The worker takes this request for a model, unless it was cancelled or cannot be put to that model."""
        with self._lock:
            self.claimed = not self.cancelled
        prepare, self._prepare = self._prepare, None  # which lets go of the pictures
        if self.claimed and self.runner is not runner:
            try:
                self.runner, self.sequence.prompt = runner, prepare(runner)
                self.limit = self.sequence.prompt.max_new_tokens
            except Exception as error:
                self.end("error", explain(error, "The question could not be put to another model"))
                return False
        return self.claimed

    def cancel(self) -> None:
        """End this request: at once while it waits, else at the next token boundary.

        Needs no lock of the scheduler, since an abandoned Generation may be collected in any thread at any moment.
        """
        with self._lock:
            self.cancelled = True
            if not self.claimed and not self.done.is_set():
                self.timings.queue = self.lap()
                self.end("cancelled")

    def end(self, finish_reason: str, error: EngineError | None = None) -> None:
        self.finish_reason, self.error, self._length = finish_reason, error, len(self.outputs)
        self.done.set()
        self.changed.set()
