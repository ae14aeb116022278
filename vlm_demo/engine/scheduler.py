"""One worker thread that writes many answers at once and shares the models fairly between sessions.

Requests join and leave the running batch at token boundaries. Sessions take turns, each with a bounded number running
and waiting, whichever models they ask for. A request that fails, fails alone; a cancelled one ends at the next
boundary. Greedy requests with the same prompt share one sequence: the model writes once, and each of them still ends on
its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from typing import Any

from vlm_demo.engine.batch import Batch, by_runner
from vlm_demo.engine.queue import FairQueue
from vlm_demo.engine.request import QueuedRequest
from vlm_demo.engine.residents import Residents
from vlm_demo.results import EngineError, Position, explain
from vlm_demo.runners.base import ModelRunner

log = logging.getLogger(__name__)

# Who joins must not stall those who are writing: the prefill between two decode steps takes about so many seconds,
PAUSE = 0.2
PROMPT_TOKENS = 1024  # or, before the model's speed has been measured, so many tokens. One prompt is always read.
# From a long queue they join in groups, for which a slot may be held free as long: an image takes half the time among
# others. A group is the batch divided by
GROUPS = 4


class Scheduler:
    """Owns the worker thread, the queue and the running batch of all models of one device."""

    def __init__(
        self,
        memory_budget: int,
        max_waiting: int = 256,
        waiting_per_session: int = 8,
        waiting_per_address: int = 192,
        running_per_session: int = 1,
    ) -> None:
        """Models take at most `memory_budget` bytes, at most `max_waiting` requests wait, and of one session and one
        address so many wait, and of one session so many run. A whole class may come from one address."""
        self.running_per_session = running_per_session
        self.residents = Residents(memory_budget)
        self._wake = threading.Condition()
        self._queue = FairQueue(max_waiting, waiting_per_session, waiting_per_address)
        self._batch = Batch()
        self._calls: deque[tuple[Callable[[], Any], bool, Future[Any]]] = deque()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._since: float | None = None  # when the first slot became free that is held until more are

    # What other threads use.

    @property
    def running(self) -> int:
        return len(self._batch)

    @property
    def busy(self) -> set[ModelRunner]:
        """The models that are writing."""
        return {request.runner for request in list(self._batch.running)}

    @property
    def waiting(self) -> int:
        with self._wake:
            return len(self._queue)

    def check_room(self, session: Hashable | None) -> None:
        """Raise QueueFull if a request of this session would be refused now."""
        with self._wake:
            if self._closed:
                raise EngineError("The engine is shut down.")
            self._queue.check_room(session)

    def submit(self, request: QueuedRequest) -> None:
        """Queue a request; raises QueueFull at once when there is no room."""
        with self._wake:
            self.check_room(request.session if request.session is not request else None)
            self._queue.add(request)
            self._wake.notify()
        self.ensure_alive()

    def position(self, request: QueuedRequest) -> Position | None:
        """Where a request waits in the queue; None when it does not wait, or is about to be taken."""
        with self._wake:
            number = self._queue.position(request)
            own = sum(other.session == request.session for other in self._batch.running)
        return number and self._position(number, request.runner, own >= self.running_per_session)

    def next_position(self, runner: ModelRunner) -> Position | None:
        """Where somebody new would wait; None when nobody waits and there is room for one more."""
        with self._wake:
            number = self._queue.next_position()
        return self._position(number, runner)

    def service(self, runner: ModelRunner) -> float | None:
        """Seconds that a model's answers take lately, without waiting; None before the first."""
        return self._batch.speed(runner).service

    def _position(self, number: int, runner: ModelRunner, busy: bool = False) -> Position | None:
        """`busy`: the next turn of this session comes only after what it has running."""
        room = len(self._batch.sequences(runner)) < runner.max_sequences and self.residents.fits(runner, self.busy)
        if number == 1 and room and not busy:
            return None
        service = self._batch.speed(runner).service
        return Position(number, service and number * service / max(1, len(self._batch)))

    def load(self, runner: ModelRunner) -> None:
        """Load a model, and unload others where the memory demands it."""
        self.call(lambda: self.residents.load(runner, self.busy))

    def make_room(self, size: int) -> None:
        """Unload idle models until one of so many bytes fits, which is then loaded elsewhere."""
        self.call(lambda: self.residents.make_room(size, self.busy))

    def adopt(self, runner: ModelRunner) -> None:
        """Take over a model that another thread has loaded, and will not touch any more."""
        self.call(lambda: self.residents.adopt(runner, self.busy))

    def unload(self) -> None:
        """Unload all models once those who are running have finished."""
        self.call(self.residents.unload, when_idle=True)

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
        while not future.done():
            self.ensure_alive()
            wait([future], timeout=1.0)
            over = self._closed and not self._thread.is_alive()
            if over and not future.done():  # asked last: the thread may have ended with this very call
                raise EngineError("The engine is shut down.")
        return future.result()

    def ensure_alive(self) -> None:
        """Start the worker thread if it does not run (not yet, or not any more)."""
        with self._wake:
            if not self._closed and not (self._thread and self._thread.is_alive()):
                self._thread = threading.Thread(target=self._work, name="vlm-engine", daemon=True)
                self._thread.start()

    def close(self, grace: float = 2.0) -> None:
        """Refuse new requests, cancel those who wait; those who run have `grace` seconds, then are cancelled too.

        The worker unloads the models as its last act, which comes later where a model hangs.
        """
        with self._wake:
            self._closed = True
            self._queue.cancel()
            self._wake.notify()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        thread.join(grace)
        for request in list(self._batch.running):
            request.cancel()
        thread.join(grace)

    # What the worker thread does.

    def _work(self) -> None:
        while True:
            try:
                self._batch.drop(EngineError("The engine had to restart. Please try again."))
                self._serve()
                break
            except BaseException:  # the worker must outlive anything that a model or a bug throws at it
                log.exception("the engine's worker failed and starts again")
        self.residents.unload()

    def _serve(self) -> None:
        while True:
            with self._wake:
                while not (self._calls or self._batch or self._queue or self._closed):
                    self._wake.wait()
                closing = self._closed and not self._batch
            self._run_calls()
            if closing:
                return
            self._admit()
            self._batch.decode()

    def _run_calls(self) -> None:
        while self._calls:
            function, when_idle, future = self._calls[0]
            if when_idle and self._batch:
                return
            self._calls.popleft()
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

    def _admit(self) -> None:
        """Let waiting requests join: encode their images, read their prompts, write their first tokens."""
        joined: list[QueuedRequest] = []
        late: list[QueuedRequest] = []  # those who share a sequence that is being written already
        seconds = PAUSE
        with self._wake:
            if self._gathering():
                return
            while not self._calls:
                request = self._next(seconds if joined else None)
                if request is None:
                    break
                self._queue.take(request)
                if not request.claim():
                    continue
                request.timings.queue = request.lap()
                coalesced = self._batch.coalesced(request)
                if coalesced is not None:
                    request.sequence = coalesced
                else:
                    seconds -= self._cost(request)
                (late if request.sequence.outputs else joined).append(request)
                self._batch.running.append(request)
        for runner, requests in by_runner(joined).items():
            self._read(runner, requests)
            self._read(runner, self._batch.take_starved())
        self._batch.postprocess(late)

    def _next(self, seconds: float | None) -> QueuedRequest | None:
        """Whose turn it is: the next whose session may run one more and whose model has room in its batch.

        None also where its prompt takes longer to read than `seconds`, and where its model must wait until another
        one has finished and can make room for it.
        """
        busy = self.busy
        full = {runner for runner in busy if len(self._batch.sequences(runner)) >= runner.max_sequences}
        sessions = Counter(request.session for request in self._batch.running)
        for request in self._queue.heads():
            if sessions[request.session] < self.running_per_session and request.runner not in full:
                late = seconds is not None and self._cost(request) > seconds
                return None if late or not self.residents.fits(request.runner, busy) else request
        return None

    def _cost(self, request: QueuedRequest) -> float:
        """About how many seconds it takes to read a request's prompt."""
        reading = self._batch.speed(request.runner).reading
        return len(request.sequence.prompt.ids) * (PAUSE / PROMPT_TOKENS if reading is None else reading)

    def _gathering(self) -> bool:
        """Whether the next in a queue that is too long for the batch wait a moment for more free slots."""
        for request in self._queue.heads()[:1]:
            most = request.runner.max_sequences
            free = most - len(self._batch.sequences(request.runner))
            if 0 < free < most // GROUPS and free < len(self._queue):
                self._since = self._since or time.perf_counter()
                if time.perf_counter() - self._since < PAUSE:
                    return True
        self._since = None
        return False

    def _read(self, runner: ModelRunner, joined: list[QueuedRequest]) -> None:
        """Load the model if need be, encode the images, read the prompts, write the first tokens."""
        if not joined:
            return
        try:
            self.residents.load(runner, self.busy)
        except Exception as error:
            log.exception("the model could not be loaded")
            for request in joined:
                self._batch.finish(request, "error", explain(error, "The model could not be loaded"))
            return
        self._batch.read(runner, joined)
