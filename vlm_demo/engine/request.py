"""One request on its way from the queue to its last token."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence

from vlm_demo.backends.signal import Signal
from vlm_demo.engine.detokenizer import Detokenizer
from vlm_demo.results import EngineError, Timings
from vlm_demo.runners.base import ModelRunner, TokenOutput, TokenSequence


class QueuedRequest:
    """A sequence on its way through the scheduler, watched by one consumer through `changed` and `done`."""

    def __init__(
        self,
        runner: ModelRunner,
        sequence: TokenSequence,
        session: Hashable | None = None,
        stop: Sequence[str] = (),
    ) -> None:
        """`runner` shall write the sequence, whose prompt was made for it; each of the texts in `stop` ends it."""
        self.runner = runner
        self.sequence = sequence  # another one's, when that one writes the same
        self.limit = sequence.prompt.max_new_tokens  # tokens that it may write
        self.detokenizer = Detokenizer(runner, stop)
        self._may_stop = bool(stop)
        self.session: Hashable = self if session is None else session  # nameless requests are sessions of their own
        self.timings = Timings()
        self.finish_reason = "running"
        self.error: EngineError | None = None
        self._length: int | None = None  # of its own part of the sequence, once it has ended
        self._waiting = [True]  # who takes that out decides what becomes of the request; taking is atomic
        self.cancelled = False
        self.changed = Signal()
        self.done = Signal()
        self.mark = time.perf_counter()  # when the present stage began

    @property
    def outputs(self) -> list[TokenOutput]:
        """What is written for this request; its sequence may go on for others."""
        return self.sequence.outputs[: self.limit if self._length is None else self._length]

    def stopped(self) -> bool:
        """Whether a stop text has been written. What follows it is not this request's."""
        length = self.detokenizer.feed(self.outputs) if self._may_stop else None
        if length is not None:
            self.limit = length
        return length is not None

    def lap(self) -> float:
        """Seconds since the present stage began; the next one begins now."""
        before, self.mark = self.mark, time.perf_counter()
        return self.mark - before

    def claim(self) -> bool:
        """The worker takes this request to run it, unless it was cancelled."""
        return self._take()

    def cancel(self) -> None:
        """End this request: at once while it waits, else at the next token boundary.

        Needs no lock, since an abandoned generation may be collected in any thread at any moment.
        """
        self.cancelled = True
        if self._take():
            self.timings.queue = self.lap()
            self.end("cancelled")

    def end(self, finish_reason: str, error: EngineError | None = None) -> None:
        """The last word on this request: how it ended."""
        self.finish_reason, self.error, self._length = finish_reason, error, len(self.outputs)
        self.done.set()
        self.changed.set()

    def _take(self) -> bool:
        try:
            return self._waiting.pop()
        except IndexError:
            return False
