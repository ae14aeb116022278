"""A model on other machines, behind any OpenAI-compatible server: vLLM, SGLang, llama.cpp, `transformers serve` ...

What goes to a server is a chat with its images as data, and what comes back are the same results as from a model here:

    remote = RemoteBackend("qwen", ["http://gpu-1:8000", "http://gpu-2:8000"], dialect=dialect_of("qwen3_vl"))
    for result in remote.stream(Request("vqa", (Message("user", (load(image), "How many cats?")),))):
        print(result.text)
"""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vlm_demo.backends.base import Capabilities
from vlm_demo.backends.local import as_turns
from vlm_demo.backends.remote.answer import CHOICES, RemoteAnswer, no_choices
from vlm_demo.backends.remote.servers import Servers
from vlm_demo.description import Description
from vlm_demo.dialects import GENERAL, Dialect, dialect_of
from vlm_demo.images import LoadedImage
from vlm_demo.results import EngineError, Request, Result
from vlm_demo.tasks import TASKS, task_prompt


class RemoteBackend:
    """One model on one or several servers, as `vlm_demo.backends.base.Backend`. May be used from any thread."""

    loaded = True

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

    @property
    def capabilities(self) -> Capabilities:
        refused = self.servers.refused
        able = Capabilities.of(
            self.dialect, choices=CHOICES not in refused, probabilities=not {"logprobs", "top_logprobs"} & refused
        )
        if self.dialect.own_pixels:
            return replace(able, tasks=able.tasks - {"detect"}, boxes=False, named_objects=False)
        return able

    @property
    def description(self) -> Description:
        """Servers say nothing of their models; people should know that what they ask goes there."""
        return Description(knows="It runs on another machine: the images and questions that you put to it go there.")

    def load(self) -> None:
        """Make sure that a server answers; raises EngineError when none does."""
        self.models()

    def unload(self) -> None:
        """There is nothing to free."""

    def memory(self) -> tuple[int, int]:
        return 0, 0

    def stream(self, request: Request, session: Hashable | None = None) -> RemoteAnswer:
        """An answer from a server; nothing is sent before it is iterated. The servers know nothing of sessions.

        Raises EngineError for what the family cannot do.
        """
        sampling, task = request.sampling, request.task
        if task == "detect" and self.dialect.own_pixels:
            raise EngineError(
                f"{self.dialect.name} counts boxes in pixels of an image that a server resizes without telling. "
                "Choose another model for boxes, or run this one here."
            )
        if sampling.choices and not self.capabilities.choices:
            raise no_choices(self.name)
        turns, images, dropped = as_turns(request)
        messages = self.dialect.messages(turns, [_data_url(image) for image in images])
        seed = None
        if sampling.temperature > 0:
            seed = sampling.seed if sampling.seed is not None else random.randrange(2**31)
        body = {
            "messages": [message | {"content": [_part(part) for part in message["content"]]} for message in messages],
            "max_tokens": sampling.max_new_tokens or TASKS[task].max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed,
            "stop": list(sampling.stop) or None,
            "logprobs": True,
            "top_logprobs": 5,
            "stream_options": {"include_usage": True},
        }
        if sampling.choices:  # as vLLM has it, under its present and its earlier name
            choices = list(sampling.choices)
            body["extra_body"] = {"structured_outputs": {"choice": choices}, "guided_choice": choices}
        prompt = task_prompt(task, request.messages[-1].text)
        draft = Result(task=task, prompt=prompt, model=self.name, seed=seed, dropped_turns=dropped)
        read = None
        if task == "detect":
            read = partial(self.dialect.read, size=images[0].size, seen=images[0].size)
        return RemoteAnswer(self.servers, body, draft, read, sampling.choices)

    def close(self) -> None:
        """Read no more, and ask no more whether dead servers are back."""
        self.servers.close()


def open_remote(address: str) -> RemoteBackend:
    """The servers that an owner names: FAMILY=URL,URL or FAMILY:MODEL=URL,URL, as in `qwen3_vl=http://gpu-1:8000`.

    The family says how the model is asked, and the model's name, else the family, is what people see; of a folder, the
    last part. Raises EngineError when the address has another form.
    """
    known, _, urls = address.partition("=")
    family, _, model = (part.strip() for part in known.partition(":"))
    addresses = [url.strip() for url in urls.split(",")]
    if not family or not all(url.startswith(("http://", "https://")) for url in addresses):
        raise EngineError("A server is named FAMILY=URL or FAMILY:MODEL=URL,URL, as in qwen3_vl=http://gpu-1:8000")
    name = Path(model).name if model.startswith((".", "/")) or Path(model).is_dir() else model
    return RemoteBackend(name or family, addresses, model or None, dialect_of(family))


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """A part of a message as servers want it."""
    return {"type": "image_url", "image_url": {"url": part["image"]}} if part["type"] == "image" else part


def _data_url(image: LoadedImage) -> str:
    file = io.BytesIO()
    image.rgb.save(file, "JPEG", quality=95)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
