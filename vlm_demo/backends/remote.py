"""A model on other machines, behind any OpenAI-compatible server: vLLM, SGLang, llama.cpp, `transformers serve` ...

remote = RemoteBackend("qwen", ["http://gpu-1:8000", "http://gpu-2:8000"], dialect=dialect_of("qwen3_vl"))
for partial in remote.stream([{"role": "user", "task": "vqa", "text": "How many cats?"}], [image]):
    print(partial.text)
"""

from __future__ import annotations

import base64
import io
import math
import os
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import httpx2
from huggingface_hub import InferenceClient
from huggingface_hub.utils import get_session, hf_raise_for_status
from PIL import Image

from vlm_demo.backends.remote_trouble import EXPECTED, BrokenOff, Trouble, understand
from vlm_demo.backends.replicas import Replica, Replicas
from vlm_demo.dialects import GENERAL, Dialect, dialect_of
from vlm_demo.results import EngineError, Result, Settings, Token
from vlm_demo.tasks import TASKS, task_prompt

NO_KEY = "-"  # without any key, huggingface_hub would send the one it keeps for the Hub
TRIES = 4  # of one request, as long as nothing has been written
BACKOFF = 0.5  # seconds before the second try, doubled each time
PROBE = 5.0  # seconds in which a server has to say which models it has, to count as alive
# What some servers do not know; one that refuses a request and names one of these is asked without it.
OPTIONAL = ("top_logprobs", "logprobs", "stream_options", "seed")


class RemoteBackend:
    """One model on one or several servers. May be used from any thread; no question is kept once it is answered."""

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        model: str | None = None,
        dialect: Dialect = GENERAL,
        key_variable: str = "VLM_DEMO_API_KEY",
        connect_seconds: float = 5.0,
        read_seconds: float = 60.0,
        probe_seconds: float = 2.0,
    ) -> None:
        """`name` is for people, and the only thing about the servers that they are told.

        Args:
            urls: Each server's address, with or without the final /v1.
            model: As the servers call it; the first one of /v1/models when left out.
            dialect: How the model's family is asked; it has to be one that chats.
            key_variable: Which variable of the environment holds the servers' key, if they want one.
            connect_seconds: Until a server must have accepted a connection.
            read_seconds: Until the first piece of an answer must have come, and between any two.
            probe_seconds: How often a dead server is asked whether it is back.
        """
        if not dialect.chat:
            raise EngineError(f"{dialect.name} does not chat, and a remote server can only be asked in a chat.")
        self.name, self.dialect = name, dialect
        bases = [url.rstrip("/").removesuffix("/v1") + "/v1" for url in urls]
        self.replicas = Replicas(name, bases, self._is_there, probe_seconds)
        self.refused: set[str] = set()  # which of OPTIONAL the servers do not know
        self._model, self._key_variable = model, key_variable
        self._timeout = httpx2.Timeout(read_seconds, connect=connect_seconds)

    def models(self) -> list[str]:
        """The names of the models that the servers have; raises EngineError when none of them tells."""
        for _ in self.replicas.all:
            with self.replicas.borrow() as replica:
                try:
                    return self._list(replica.url)
                except EXPECTED as error:
                    trouble = self.understand(error)
            if trouble.dead:
                self.replicas.leave_out(replica)
        raise trouble.words

    def stream(
        self, turns: Sequence[dict[str, Any]], images: Sequence[Image.Image], settings: Settings | None = None
    ) -> RemoteAnswer:
        """An answer to a chat; `turns` hold `role`, `task` and `text`, oldest first. Nothing is sent before it is
        iterated. Raises EngineError for what the family cannot do."""
        settings = settings or Settings()
        task, text = turns[-1]["task"], turns[-1]["text"]
        if task == "detect" and self.dialect.own_pixels:
            raise EngineError(
                f"{self.dialect.name} counts boxes in pixels of an image that a server resizes without telling. "
                "Choose another model for boxes, or run this one here."
            )
        messages = self.dialect.messages(turns, [_data_url(image) for image in images])
        seed = None
        if settings.temperature > 0:
            seed = settings.seed if settings.seed is not None else random.randrange(2**31)
        body = {
            "messages": [message | {"content": [_part(part) for part in message["content"]]} for message in messages],
            "max_tokens": settings.max_new_tokens or TASKS[task].max_new_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": seed,
            "stop": list(settings.stop) or None,
            "logprobs": True,
            "top_logprobs": 5,
            "stream_options": {"include_usage": True},
        }
        draft = Result(task=task, prompt=task_prompt(task, text), model=self.name, seed=seed)
        return RemoteAnswer(self, body, draft, images[0].size if images else (0, 0))

    def close(self) -> None:
        """Ask no more whether dead servers are back."""
        self.replicas.close()

    # For RemoteAnswer.

    def client(self, replica: Replica) -> InferenceClient:
        return InferenceClient(base_url=replica.url, api_key=self._key, timeout=self._timeout)

    def model_on(self, replica: Replica) -> str:
        """What the servers call the model."""
        if self._model is None:
            models = self._list(replica.url)
            if not models:
                raise EngineError(f"{self.name} has no model.")
            self._model = models[0]
        return self._model

    def understand(self, error: Exception) -> Trouble:
        return understand(error, self.name, self._key)

    # Below.

    @property
    def _key(self) -> str:
        return os.environ.get(self._key_variable) or NO_KEY

    def _get_models(self, url: str, timeout: Any) -> httpx2.Response:
        return get_session().get(f"{url}/models", headers={"Authorization": f"Bearer {self._key}"}, timeout=timeout)

    def _list(self, url: str) -> list[str]:
        response = self._get_models(url, self._timeout)
        hf_raise_for_status(response)
        return [str(model["id"]) for model in response.json()["data"]]

    def _is_there(self, url: str) -> bool:
        """Whether a server answers at all, be it that it keeps no list or wants another key."""
        try:
            return self._get_models(url, PROBE).status_code < 500
        except EXPECTED:
            return False


def open_remote(address: str) -> RemoteBackend:
    """The servers that an owner names: `qwen3_vl=http://gpu-1:8000,http://gpu-2:8000`, the model's family and where it
    runs. Raises EngineError when the address has another form."""
    family, _, urls = address.partition("=")
    found = [url.strip() for url in urls.split(",")]
    if not family.strip() or not all(url.startswith(("http://", "https://")) for url in found):
        raise EngineError("A remote model is named FAMILY=URL or FAMILY=URL,URL: qwen3_vl=http://gpu-1:8000")
    return RemoteBackend(family.strip(), found, dialect=dialect_of(family.strip()))


class RemoteAnswer:
    """An answer on its way from a server. Iterate it once for partial Results; the last one is final.

    What went wrong is raised as EngineError. A request is sent again, after a pause and to another server where there
    is one, only as long as nothing has been written. Leaving the iteration early closes the connection.
    """

    def __init__(self, backend: RemoteBackend, body: dict[str, Any], draft: Result, size: tuple[int, int]) -> None:
        self._backend, self._body, self._size = backend, body, size
        self._result = draft
        self._tokens: list[Token] = []
        self._chunks = 0  # with text, or with a token that is none
        self._began = self._first = 0.0
        self._stopped = threading.Event()
        self._connection: _Connection | None = None

    def cancel(self) -> None:
        """Close the connection, from any thread; the iteration ends with what is written so far.

        A server that has not even begun to respond is let go of when it does, or when the time is out.
        """
        self._stopped.set()
        connection = self._connection
        if connection is not None:
            connection.cut()

    def result(self) -> Result:
        """Wait for the end and return the final Result."""
        for partial in self:
            last = partial
        return last

    def __iter__(self) -> Iterator[Result]:
        self._began = time.perf_counter()
        before: Replica | None = None
        tried = 0
        while not self._stopped.is_set():
            with self._backend.replicas.borrow(before) as before:
                try:
                    yield from self._read(before)
                    break
                except EXPECTED as error:
                    if self._stopped.is_set():
                        break
                    trouble = self._backend.understand(error)
                if trouble.dead:
                    self._backend.replicas.leave_out(before)
            if self._chunks:
                raise EngineError(f"{self._backend.name} broke off in the middle of its answer. Please ask again.")
            unknown = {name for name in OPTIONAL if name in trouble.message} - self._backend.refused
            if unknown and not trouble.again:
                self._backend.refused |= unknown | ({"top_logprobs"} if "logprobs" in unknown else set())
                continue
            tried += 1
            if not trouble.again or tried == TRIES:
                raise trouble.words
            pause = BACKOFF * 2 ** (tried - 1) * random.uniform(0.8, 1.2)
            self._stopped.wait(pause if trouble.after is None else trouble.after)
        yield self._final()

    def _read(self, replica: Replica) -> Iterator[Result]:
        """Ask one server, and yield what comes."""
        body = {name: value for name, value in self._body.items() if name not in self._backend.refused}
        client = self._backend.client(replica)
        client.exit_stack = self._connection = _Connection()
        try:
            chunks = client.chat_completion(model=self._backend.model_on(replica), stream=True, **body)
            for chunk in chunks:
                if self._stopped.is_set():
                    return
                if self._take(chunk):
                    yield self._result
        finally:
            client.close()
        if self._result.finish == "running":
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
            self._result = replace(self._result, finish="length" if choice.finish_reason == "length" else "stop")
        if not text and not tokens:
            return False
        now = time.perf_counter()
        self._first = self._first or now
        self._chunks += 1
        self._tokens += tokens
        text = self._result.text + text
        timings = replace(self._result.timings, prefill=self._first - self._began, decode=now - self._first)
        # Tokens of which the text is not made, since the server leaves some out, would be shown in the wrong place.
        told = list(self._tokens) if "".join(token.text for token in self._tokens) == text else []
        self._result = replace(self._result, text=text, tokens=told, timings=timings, new_tokens=self._chunks)
        return True

    def _final(self) -> Result:
        if self._result.finish == "running":
            self._result = replace(self._result, finish="cancelled")
        if self._result.task == "detect":
            self._result.parsed = self._backend.dialect.read(self._result.text, self._size, self._size)
        return self._result


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

    def cut(self) -> None:
        """Wake whoever waits for the server: closing alone would not."""
        self._ended = True
        if self._response is not None:
            with suppress(OSError):  # it may have ended by itself
                self._response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """A part of a message as servers want it."""
    return {"type": "image_url", "image_url": {"url": part["image"]}} if part["type"] == "image" else part


def _data_url(image: Image.Image) -> str:
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=95)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _token(one: Any) -> Token:
    """A token with its probability; servers do not tell its id."""
    top = [(other.token, math.exp(other.logprob)) for other in one.top_logprobs or []]
    return Token(-1, one.token, math.exp(one.logprob), top)
