"""One answer on its way from a server: retries, pieces, probabilities, and how it is cut off."""

from __future__ import annotations

import asyncio
import math
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlm_demo.backends.remote.trouble import EXPECTED, BrokenOff
from vlm_demo.results import EngineError, Result, Token, explain

if TYPE_CHECKING:
    import httpx2

    from vlm_demo.backends.remote.replicas import Replica
    from vlm_demo.backends.remote.servers import Servers
    from vlm_demo.detection import Parsed

TRIES = 4  # of one request, as long as nothing has been written
MAX_TEXT = 100_000  # characters; a server that writes on and on is left there
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
        self._began = self._first = 0.0
        self._stopped = threading.Event()
        self._connection: _Connection | None = None
        self._leave: Callable[[], None] = lambda: None  # ends `updates`
        self._ended = False
        self._error: EngineError | None = None

    def cancel(self) -> None:
        """Close the connection, from any thread; the iteration ends with what is written so far.

        A server that has not even begun to respond is let go of when it does, or when the time is out; `updates` end
        at once all the same.
        """
        self._stopped.set()
        connection = self._connection
        if connection is None or not connection.cut():
            self._leave()

    def result(self) -> Result:
        """Wait for the end and return the final Result."""
        if not self.done:
            for _ in self._pieces():
                pass
        if self._error is not None:
            raise self._error
        return self._result

    @property
    def done(self) -> bool:
        return self._error is not None or self._ended

    @property
    def position(self) -> None:
        """Servers do not tell where a request waits."""

    def __iter__(self) -> Iterator[Result]:
        return self.partials()

    def partials(self, interval: float = 0.05) -> Iterator[Result]:
        """Yield a Result at once, then as pieces come, at most every `interval` seconds; the last one is final."""
        yield self._result  # a web server can only end what has begun to yield
        shown = time.perf_counter()
        for result in self._pieces():
            if self._ended or time.perf_counter() - shown >= interval:
                yield result
                shown = time.perf_counter()

    async def updates(self, interval: float = 0.05) -> AsyncIterator[Result]:
        """Like `partials`, for an event loop. A thread reads meanwhile: the client that it reads from blocks."""
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue()

        def put(piece: Result | EngineError | None) -> None:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        def read() -> None:
            try:
                for result in self.partials(interval):
                    put(result)
            except Exception as error:
                put(explain(error, f"{self._servers.name} could not be understood"))
            finally:
                put(None)

        def leave() -> None:
            put(replace(self._result, finish_reason="cancelled"))
            put(None)

        self._leave = leave
        threading.Thread(target=read, name=f"answer of {self._servers.name}", daemon=True).start()
        try:
            while (piece := await pieces.get()) is not None:
                if isinstance(piece, EngineError):
                    raise piece
                yield piece
        finally:
            if not self.done:
                self.cancel()

    def _pieces(self) -> Iterator[Result]:
        try:
            yield from self._ask()
        except EngineError as error:
            self._error = error
            raise

    def _ask(self) -> Iterator[Result]:
        self._began = time.perf_counter()
        before: Replica | None = None
        tried = 0
        while not self._stopped.is_set():
            with self._servers.replicas.borrow(before) as before:
                try:
                    yield from self._read(before)
                    break
                except EXPECTED as error:
                    if self._stopped.is_set():
                        break
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
            self._stopped.wait(pause if trouble.after is None else trouble.after)
        yield self._final()

    def _read(self, replica: Replica) -> Iterator[Result]:
        """Ask one server, and yield what comes."""
        body = {name: value for name, value in self._body.items() if name not in self._servers.refused}
        client = self._servers.client(replica)
        client.exit_stack = self._connection = _Connection()
        try:
            chunks = client.chat_completion(model=self._servers.model_on(replica), stream=True, **body)
            for chunk in chunks:
                if self._stopped.is_set():
                    return
                if self._take(chunk):
                    yield self._result
                if len(self._result.text) > MAX_TEXT:
                    self._result = replace(self._result, finish_reason="length")
                    return
        finally:
            client.close()
        if self._result.finish_reason == "running":
            raise BrokenOff

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
        self._ended = True
        if self._result.finish_reason == "running":
            self._result = replace(self._result, finish_reason="cancelled")
        if self._read_boxes is not None:
            self._result.parsed = self._read_boxes(self._result.text)
        return self._result

    def _refuse_choices(self) -> EngineError:
        """Remember that these servers do not keep to given answers."""
        self._servers.refused |= {CHOICES}
        return no_choices(self._servers.name)


def no_choices(name: str) -> EngineError:
    """What people are told of a server that does not keep to given answers."""
    return EngineError(f"{name} cannot choose among given answers. Ask it in words.")


class _Connection(ExitStack):
    """Holds the response that InferenceClient reads from, so that another thread can end it."""

    def __init__(self) -> None:
        super().__init__()
        self._response: httpx2.Response | None = None
        self._ended = False

    def enter_context(self, cm: Any) -> Any:
        self._response = super().enter_context(cm)
        if self._ended:
            self.cut()
        return self._response

    def cut(self) -> bool:
        """Wake whoever waits for the server, which closing alone would not; False before there is a response."""
        self._ended = True
        if self._response is None:
            return False
        with suppress(OSError):  # it may have ended by itself
            self._response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        return True


def _token(one: Any) -> Token:
    """A token with its probability; servers do not tell its id."""
    top = [(other.token, math.exp(other.logprob)) for other in one.top_logprobs or []]
    return Token(-1, one.token, math.exp(one.logprob), top)
