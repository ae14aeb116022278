"""A model on other machines, behind any OpenAI-compatible server: vLLM, SGLang, llama.cpp, `transformers serve` ...

What goes to a server is a chat with its images as data, and what comes back are the same results as from a model here:

    remote = RemoteBackend("qwen", ["http://gpu-1:8000", "http://gpu-2:8000"], dialect=dialect_of("qwen3_vl"))
    for partial in remote.stream([{"role": "user", "task": "vqa", "text": "How many cats?"}], [image]):
        print(partial.text)
"""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

from PIL import Image

from vlm_demo.backends.remote.answer import RemoteAnswer
from vlm_demo.backends.remote.servers import Servers
from vlm_demo.dialects import GENERAL, Dialect, dialect_of
from vlm_demo.results import EngineError, Result, Settings
from vlm_demo.tasks import TASKS, task_prompt


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
        self.servers = Servers(name, urls, model, key_variable, connect_seconds, read_seconds, probe_seconds)

    def models(self) -> list[str]:
        """The names of the models that the servers have; raises EngineError when none of them tells."""
        return self.servers.models()

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
        read = None
        if task == "detect":
            size = images[0].size
            read = partial(self.dialect.read, size=size, seen=size)
        draft = Result(task=task, prompt=task_prompt(task, text), model=self.name, seed=seed)
        return RemoteAnswer(self.servers, body, draft, read)

    def close(self) -> None:
        """Ask no more whether dead servers are back."""
        self.servers.replicas.close()


def open_remote(address: str) -> RemoteBackend:
    """The servers that an owner names: `qwen3_vl=http://gpu-1:8000,http://gpu-2:8000`, the model's family and where it
    runs. Raises EngineError when the address has another form."""
    family, _, urls = address.partition("=")
    found = [url.strip() for url in urls.split(",")]
    if not family.strip() or not all(url.startswith(("http://", "https://")) for url in found):
        raise EngineError("A remote model is named FAMILY=URL or FAMILY=URL,URL: qwen3_vl=http://gpu-1:8000")
    return RemoteBackend(family.strip(), found, dialect=dialect_of(family.strip()))


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """A part of a message as servers want it."""
    return {"type": "image_url", "image_url": {"url": part["image"]}} if part["type"] == "image" else part


def _data_url(image: Image.Image) -> str:
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=95)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
