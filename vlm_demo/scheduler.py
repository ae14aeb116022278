"""One worker thread that writes many answers at once and shares the model fairly between sessions.

Requests join and leave the running batch at token boundaries. Sessions take turns, each with a bounded number running
and waiting. A request that fails, fails alone; a cancelled one ends at the next boundary. Greedy requests with the same
prompt share one row: the model writes once, and each of them still ends on its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

from vlm_demo.backends import Backend, Row
from vlm_demo.line import WaitingLine
from vlm_demo.request import Request
from vlm_demo.results import EngineError, Place, explain

log = logging.getLogger(__name__)

# Newcomers must not stall those who are writing: what is read between two decode steps takes about so many seconds,
PAUSE = 0.2
PROMPT_TOKENS = 1024  # or, before the model's speed has been measured, so many tokens. One prompt is always read.
# Behind a long line they join in groups, for which a row may be held free as long: a picture takes half the time among
# others. A group is the batch divided by
GROUPS = 4


class Scheduler:
    """Owns the worker thread, the queue and the running batch of one backend."""

    def __init__(
        self,
        backend: Backend,
        max_waiting: int = 256,
        waiting_per_session: int = 8,
        running_per_session: int = 1,
    ) -> None:
        """At most `max_waiting` requests wait, and of one session so many wait and so many run.

        `backend` may be replaced on the worker thread while nobody runs; those who wait are then prepared for the new
        one when their turn comes.
        """
        self.backend = backend
        self.running_per_session = running_per_session
        self._wake = threading.Condition()
        self._line = WaitingLine(max_waiting, waiting_per_session)
        self._running: list[Request] = []
        self._calls: deque[tuple[Callable[[], Any], bool, Future[Any]]] = deque()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._service: float | None = None  # moving average of the seconds from joining the batch to the end
        self._since: float | None = None  # when the first row became free that is held until more are
        self._reading: float | None = None  # moving average of the seconds that a token of a prompt takes

    # What other threads use.

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        with self._wake:
            return len(self._line)

    def check_room(self, session: Hashable | None) -> None:
        """Raise QueueFull if a request of this session would be refused now."""
        with self._wake:
            if self._closed:
                raise EngineError("The engine is shut down.")
            self._line.check_room(session)

    def submit(self, request: Request) -> None:
        """Queue a request; raises QueueFull at once when there is no room."""
        with self._wake:
            self.check_room(request.session if request.session is not request else None)
            self._line.add(request)
            self._wake.notify()
        self.ensure_alive()

    def place(self, request: Request) -> Place | None:
        """Where a waiting request stands in line; None when it does not wait, or is about to be taken."""
        with self._wake:
            number = self._line.number(request)
            busy = [other.session for other in self._running].count(request.session) >= self.running_per_session
        return number and self._place(number, busy)

    def newcomer(self) -> Place | None:
        """Where somebody new would stand in line; None when nobody waits and there is room in the batch."""
        with self._wake:
            number = self._line.newcomer()
        return self._place(number)

    def _place(self, number: int, busy: bool = False) -> Place | None:
        """`busy`: the next turn of this session comes only after what it has running."""
        if number == 1 and not busy and len(_rows(self._running)) < self.backend.max_rows:
            return None
        rate = self._service and self._service / max(1, len(self._running))
        return Place(number, rate and number * rate)

    def call(self, function: Callable[[], Any], when_idle: bool = False) -> Any:
        """Run a function on the worker thread between two tokens and return its result.

        With `when_idle`, those who are running finish first and nobody joins meanwhile.
        """
        future: Future[Any] = Future()
        with self._wake:
            if self._closed:
                raise EngineError("The engine is shut down.")
            self._calls.append((function, when_idle, future))
            self._wake.notify()
        while True:
            self.ensure_alive()
            try:
                return future.result(timeout=1.0)
            except TimeoutError:
                if future.done():
                    raise
                if self._closed and not self._thread.is_alive():
                    raise EngineError("The engine is shut down.") from None

    def ensure_alive(self) -> None:
        """Start the worker thread if it does not run (not yet, or not any more)."""
        with self._wake:
            if not self._closed and not (self._thread and self._thread.is_alive()):
                self._thread = threading.Thread(target=self._work, name="vlm-engine", daemon=True)
                self._thread.start()

    def close(self, grace: float = 2.0) -> None:
        """Refuse new requests, cancel those who wait; those who run have `grace` seconds, then are cancelled too."""
        with self._wake:
            self._closed = True
            self._line.cancel()
            self._wake.notify()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        thread.join(grace)
        for request in list(self._running):
            request.cancel()
        thread.join(grace)

    # What the worker thread does.

    def _work(self) -> None:
        while True:
            try:
                self._drop_running(EngineError("The engine had to restart. Please try again."))
                self._serve()
                return
            except BaseException:  # the worker must outlive anything that a model or a bug throws at it
                log.exception("the engine's worker failed and starts again")

    def _serve(self) -> None:
        while True:
            with self._wake:
                while not (self._calls or self._running or self._line or self._closed):
                    self._wake.wait()
                closing = self._closed and not self._running
            self._run_calls()
            if closing:
                return
            self._admit()
            if self._running:
                self._each(self.backend.step, _rows(self._running))
                self._settle(self._running)

    def _run_calls(self) -> None:
        while self._calls:
            function, when_idle, future = self._calls[0]
            if when_idle and self._running:
                return
            self._calls.popleft()
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

    def _admit(self) -> None:
        """Let waiting requests join: encode their pictures, read their prompts, write their first tokens."""
        joined: list[Request] = []
        late: list[Request] = []  # those who share a row that is being written already
        budget = PROMPT_TOKENS if self._reading is None else int(PAUSE / max(self._reading, 1e-9))
        with self._wake:
            if self._gathering():
                return
            while not self._calls and len(_rows(self._running)) < self.backend.max_rows:
                busy = [request.session for request in self._running]
                request = self._line.take(busy, self.running_per_session, budget if joined else None)
                if request is None:
                    break
                if not request.claim(self.backend):
                    continue
                request.timings.queue = request.lap()
                twin = self._twin(request)
                if twin is not None:
                    request.row = twin.row
                else:
                    budget -= len(request.row.prompt.ids)
                (late if request.row.steps else joined).append(request)
                self._running.append(request)
        if joined:
            self._read(joined)
        self._settle(late)

    def _gathering(self) -> bool:
        """Whether those who are next in a line that is too long for the batch wait a moment for more free rows."""
        free = self.backend.max_rows - len(_rows(self._running))
        if 0 < free < self.backend.max_rows // GROUPS and free < len(self._line):
            self._since = self._since or time.perf_counter()
            if time.perf_counter() - self._since < PAUSE:
                return True
        self._since = None
        return False

    def _read(self, joined: list[Request]) -> None:
        """Load the model if need be, encode the pictures, read the prompts, write the first tokens."""
        try:
            self.backend.load()
        except Exception as error:
            log.exception("the model could not be loaded")
            for request in joined:
                self._leave(request, "error", explain(error, "The model could not be loaded"))
            return
        tokens = sum(len(row.prompt.ids) for row in _rows(joined))
        for request in joined:
            request.lap()  # loading is nobody's encoding time
        begin = time.perf_counter()
        for function, stage in ((self.backend.encode, "encode"), (self.backend.prefill, "prefill")):
            survivors = self._each(function, _rows(joined))
            joined = [request for request in joined if request.row in survivors]
            for request in joined:
                setattr(request.timings, stage, request.lap())
        self._reading = _average(self._reading, (time.perf_counter() - begin) / max(1, tokens))
        self._settle(joined)

    def _twin(self, request: Request) -> Request | None:
        """A running request for which the model writes what this one asks for."""
        row = request.row
        if row.prompt.key is None or row.temperature > 0:
            return None
        same = (
            other for other in self._running if other.row.prompt.key == row.prompt.key and other.row.temperature == 0
        )
        return next(same, None)

    def _each(self, function: Callable[[list[Row]], None], rows: list[Row]) -> list[Row]:
        """Call a backend function on all rows, or, if that raises, on one row after the other: who fails, fails alone.

        Returns the rows that survived.
        """
        try:
            function(rows)
            return rows
        except Exception as error:
            if len(rows) > 1:
                return [row for one in rows for row in self._each(function, [one])]
            if not isinstance(error, EngineError):
                log.exception("a request failed")
            for request in [request for request in self._running if request.row is rows[0]]:
                self._leave(request, "error", explain(error, "The model failed on this request"))
            return []

    def _settle(self, requests: list[Request]) -> None:
        """After each token: wake the consumers, and let go of those who are finished."""
        for request in list(requests):
            error, steps = request.row.error, request.steps
            if error is not None:
                self._leave(request, "error", explain(error, "The model failed on this request"))
            elif request.stopped(self.backend.text) or steps[-1].end:
                self._leave(request, "stop")
            elif request.cancelled:
                self._leave(request, "cancelled")
            elif len(steps) >= request.limit:
                self._leave(request, "length")
            else:
                request.changed.set()

    def _leave(self, request: Request, finish: str, error: EngineError | None = None) -> None:
        self._running.remove(request)
        if all(other.row is not request.row for other in self._running):
            self.backend.release(request.row)
        request.timings.decode = request.lap()
        if finish in ("stop", "length"):
            timings = request.timings
            self._service = _average(self._service, timings.encode + timings.prefill + timings.decode)
        request.end(finish, error)

    def _drop_running(self, error: EngineError) -> None:
        """Whoever was running when the worker failed is told so."""
        for request in list(self._running):
            self._running.remove(request)
            request.end("error", error)
            self.backend.release(request.row)


def _rows(requests: list[Request]) -> list[Row]:
    """The rows of some requests, each once."""
    return list(dict.fromkeys(request.row for request in requests))


def _average(before: float | None, now: float) -> float:
    """A moving average."""
    return now if before is None else 0.8 * before + 0.2 * now
