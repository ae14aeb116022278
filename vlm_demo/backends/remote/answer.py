"""One answer on its way from a server: retries, pieces, probabilities, and how it is cut off."""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlm_demo.backends.remote.trouble import EXPECTED, BrokenOff
from vlm_demo.backends.signal import Signal
from vlm_demo.results import EngineError, Result, Timings, Token, explain

if TYPE_CHECKING:
    from vlm_demo.backends.remote.replicas import Replica
    from vlm_demo.backends.remote.servers import Servers
    from vlm_demo.detection import Parsed

TRIES = 4  # of one request, as long as nothing has been written
MAX_TEXT = 100_000  # characters; a server that writes on and on is left there
LOOK = 3.0  # seconds without a word, after which it is told how long that has been
BACKOFF = 0.5  # seconds before the second try, doubled each time
# What some servers do not know; one that refuses a request and names one of these is asked without it.
OPTIONAL = ("top_logprobs", "logprobs", "stream_options", "seed")
CHOICES = "choices"  # among what servers have refused: to keep to given answers
# How a server may call that which it refuses.
CHOICE_FIELDS = ("structured_outputs", "guided_choice", "extra_body")


class RemoteAnswer:
    """A `vlm_demo.backends.base.Generation` of a server, to be iterated once.

    What went wrong is raised as EngineError. A request is sent again, after a pause and to another server where there
    is one, only as long as nothing has been written. Leaving the iteration early closes the connection.
    """

    def __init__(
        self,
        servers: Servers,
        body: dict[str, Any],
        draft: Result,
        read: Callable[[str], Parsed] | None = None,
        choices: Sequence[str] = (),
    ) -> None:
        """`body` is what a chat completion takes; `read` finds the boxes in the whole text, if any are wanted; where
        there are `choices`, anything else is no answer."""
        self._servers, self._body, self._read_boxes, self._choices = servers, body, read, choices
        self._result = draft
        self._tokens: list[Token] = []
        self._chunks = 0  # with text, or with a token that is none
        self._first = self._shown = 0.0
        self._began = time.perf_counter()
        self._stopped = False
        self._task: asyncio.Task[None] | None = None  # the reader's
        self._interval: float | None = None  # None: not asked yet
        self._news: deque[Result] = deque()
        self._changed = Signal()
        self._done = threading.Event()
        self._error: EngineError | None = None

    def cancel(self) -> None:
        """Close the connection, from any thread; the iteration ends with what is written so far."""
        self._stopped = True
        if self._interval is not None:
            self._servers.reader.call(self._give_up)

    def result(self) -> Result:
        """Wait for the end and return the final Result."""
        self._begin(math.inf)
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result

    @property
    def done(self) -> bool:
        return self._done.is_set()

    @property
    def position(self) -> None:
        """Servers do not tell where a request waits."""

    def __iter__(self) -> Iterator[Result]:
        return self.partials()

    def partials(self, interval: float = 0.05) -> Iterator[Result]:
        """Yield a Result at once, then as pieces come, at most every `interval` seconds; the last one is final."""
        try:
            yield self._begin(interval)  # a web server can only end what has begun to yield
            while not self.done:
                self._changed.wait(LOOK)
                yield from self._take_news()
            yield from self._take_news()  # that came with the end
            yield self.result()
        finally:
            if not self.done:
                self.cancel()

    async def updates(self, interval: float = 0.05) -> AsyncIterator[Result]:
        """Like `partials`, for an event loop: whoever waits holds no thread."""
        try:
            yield self._begin(interval)
            while not self.done:
                await self._changed.wait_async(LOOK)
                for result in self._take_news():
                    yield result
            for result in self._take_news():
                yield result
            yield self.result()
        finally:
            if not self.done:
                self.cancel()

    def _take_news(self) -> Iterator[Result]:
        """What has come; where nothing has come for long, not even the first piece, how long that has been."""
        if not (self._changed.is_set() or self._chunks or self.done):
            yield replace(self._result, timings=Timings(prefill=time.perf_counter() - self._began))
        self._changed.clear()
        while self._news:
            yield self._news.popleft()

    def _begin(self, interval: float) -> Result:
        before = self._result
        if self._interval is None:
            self._interval, self._shown = interval, time.perf_counter()
            self._servers.reader.call(self._start)
        return before

    # What the reader's thread does.

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._ask())
        self._task.add_done_callback(self._end)

    def _give_up(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: asyncio.Task[None]) -> None:
        try:
            if not task.cancelled():
                task.result()
            self._result = self._final()
        except Exception as error:
            self._error = explain(error, f"{self._servers.name} could not be understood")
        self._done.set()
        self._changed.set()

    async def _ask(self) -> None:
        self._began = time.perf_counter()
        before: Replica | None = None
        tried = 0
        while not self._stopped:
            with self._servers.replicas.borrow(before) as before:
                try:
                    await self._read(before)
                    return
                except EXPECTED as error:
                    trouble = self._servers.understand(error)
                if trouble.dead:
                    self._servers.replicas.leave_out(before)
            if self._chunks:
                raise EngineError(f"{self._servers.name} broke off in the middle of its answer. Please ask again.")
            if self._choices and any(name in trouble.message for name in CHOICE_FIELDS):
                raise self._refuse_choices()
            unknown = {name for name in OPTIONAL if name in trouble.message} - self._servers.refused
            if unknown and not trouble.again:
                self._servers.refused |= unknown | ({"top_logprobs"} if "logprobs" in unknown else set())
                continue
            tried += 1
            if not trouble.again or tried == TRIES:
                raise trouble.words
            pause = BACKOFF * 2 ** (tried - 1) * random.uniform(0.8, 1.2)
            await asyncio.sleep(pause if trouble.after is None else trouble.after)

    async def _read(self, replica: Replica) -> None:
        """Ask one server, and take what comes."""
        body = {name: value for name, value in self._body.items() if name not in self._servers.refused}
        model = self._servers.model or await asyncio.to_thread(self._servers.model_on, replica)
        async with self._servers.client(replica) as client:
            async for chunk in await client.chat_completion(model=model, stream=True, **body):
                if self._take(chunk):
                    self._tell()
                if len(self._result.text) > MAX_TEXT:
                    self._result = replace(self._result, finish_reason="length")
                    return
        if self._result.finish_reason == "running":
            raise BrokenOff

    def _tell(self) -> None:
        now = time.perf_counter()
        if self._result.finish_reason == "running" and now - self._shown >= self._interval:
            self._shown = now
            self._news.append(self._result)
            self._changed.set()

    def _take(self, chunk: Any) -> bool:
        """Add a piece to the result; False when there was nothing in it."""
        if chunk.usage:
            self._result = replace(
                self._result, prompt_tokens=chunk.usage.prompt_tokens, new_tokens=chunk.usage.completion_tokens
            )
        if not chunk.choices:
            return False
        choice = chunk.choices[0]
        text = choice.delta.content or ""
        tokens = [_token(one) for one in (choice.logprobs.content or [])] if choice.logprobs else []
        if choice.finish_reason:
            self._result = replace(self._result, finish_reason="length" if choice.finish_reason == "length" else "stop")
        if not text and not tokens:
            return False
        now = time.perf_counter()
        self._first = self._first or now
        self._chunks += 1
        if not self._result.text:  # some tokenizers begin every answer with a blank
            text, tokens[:1] = text.lstrip(), [replace(one, text=one.text.lstrip()) for one in tokens[:1]]
        text = self._result.text + text
        self._tokens += tokens
        timings = replace(self._result.timings, prefill=self._first - self._began, decode=now - self._first)
        # Tokens of which the text is not made, since the server leaves some out, would be shown in the wrong place.
        shown = list(self._tokens) if "".join(token.text for token in self._tokens) == text else []
        self._result = replace(self._result, text=text, tokens=shown, timings=timings, new_tokens=self._chunks)
        return True

    def _final(self) -> Result:
        if self._choices and self._result.finish_reason == "stop" and self._result.text.strip() not in self._choices:
            raise self._refuse_choices()  # most servers pass over what they do not know
        result = self._result
        if result.finish_reason == "running":
            result = replace(result, finish_reason="cancelled")
        if self._read_boxes is not None:
            result.parsed = self._read_boxes(result.text)
        return result

    def _refuse_choices(self) -> EngineError:
        """Remember that these servers do not keep to given answers."""
        self._servers.refused |= {CHOICES}
        return no_choices(self._servers.name)


def no_choices(name: str) -> EngineError:
    """What people are told of a server that does not keep to given answers."""
    return EngineError(f"{name} cannot choose among given answers. Ask it in words.")


def _token(one: Any) -> Token:
    """A token with its probability; servers do not tell its id."""
    top = [(other.token, math.exp(other.logprob)) for other in one.top_logprobs or []]
    return Token(-1, one.token, math.exp(one.logprob), top)
