"""A model in this process: requests become sequences of tokens for a runner, which a scheduler drives."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from typing import Any

from vlm_demo.backends.base import Capabilities, Generation
from vlm_demo.backends.history import standing_alone
from vlm_demo.backends.selection import Selection, described
from vlm_demo.description import Description
from vlm_demo.images import LoadedImage
from vlm_demo.results import Request, Result
from vlm_demo.runners.base import ModelRunner, TokenSequence
from vlm_demo.tasks import TASKS, task_prompt

MAX_HISTORY = 50  # newest turns of a chat that are looked at, as long as
MAX_CHARACTERS = 20_000  # are enough for them; what a model can read is less, this bounds the work of finding out

Submit = Callable[[ModelRunner, TokenSequence, Request, Result, Hashable | None], Generation]


class LocalBackend:
    """A runner as a `Backend`."""

    def __init__(self, runner: ModelRunner, submit: Submit) -> None:
        """`submit` puts a sequence into the queue, with the request, what is known of its result, and the session."""
        self.runner, self._submit = runner, submit

    @property
    def name(self) -> str:
        return self.runner.name

    @property
    def capabilities(self) -> Capabilities:
        dialect = getattr(self.runner, "dialect", None)  # of another family; our own models can do everything
        if dialect is not None:
            return Capabilities.of(dialect)
        return Capabilities(described_boxes=self.description.describes_boxes)

    @property
    def description(self) -> Description:
        return getattr(self.runner, "description", Description())

    @property
    def loaded(self) -> bool:
        return self.runner.loaded

    def load(self) -> None:
        self.runner.load()

    def unload(self) -> None:
        self.runner.unload()

    def memory(self) -> tuple[int, int]:
        return self.runner.memory()

    def close(self) -> None:
        """Nothing: the worker unloads it as its last act."""

    def stream(self, request: Request, session: Hashable | None = None) -> Generation:
        words = described(request)
        if words is not None and self.description.select_by_asking:
            return Selection(self, request, words, session)
        sampling = request.sampling
        turns, images, dropped = as_turns(standing_alone(request) if self.description.asks_alone else request)
        new_tokens = sampling.max_new_tokens or TASKS[request.task].max_new_tokens
        prompt = self.runner.prepare(turns, images, new_tokens, sampling.choices)
        seed = random.randrange(2**32) if sampling.seed is None else sampling.seed
        repeats = self.description.no_repeat_ngram_size if is_short_caption(request) else 0
        sequence = TokenSequence(prompt, sampling.temperature, sampling.top_p, repeats, random.Random(seed))
        draft = Result(
            task=request.task,
            prompt=task_prompt(request.task, request.messages[-1].text),
            model=self.name,
            seed=seed if sampling.temperature > 0 else None,
            dropped_turns=dropped + prompt.dropped_turns,
        )
        return self._submit(self.runner, sequence, request, draft, session)


def is_short_caption(request: Request) -> bool:
    """Whether one sentence is wanted about the whole image, in which nothing is to be said twice."""
    return request.task == "caption" and request.messages[-1].text != TASKS["caption"].prompts["detailed"]


def as_turns(request: Request) -> tuple[list[dict[str, Any]], list[LoadedImage], int]:
    """The turns and images of a request as `ModelRunner.prepare` takes them, and how many old turns were left out.

    Images that open the chat are not mentioned in its turns, so that any of these may be left out.
    """
    images = [image for message in request.messages for image in message.images]
    opening = all(one is other for one, other in zip(images, request.messages[0].content, strict=False))
    turns = []
    for message in request.messages:
        turn: dict[str, Any] = {"role": message.role, "task": request.task if message.role == "user" else None}
        if opening or message.role == "assistant":
            turn["text"] = message.text
        else:
            turn["content"] = [
                {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
                for part in message.content
            ]
        turns.append(turn)
    dropped = _too_old(request) if opening else 0
    return turns[2 * dropped :], images, dropped


def _too_old(request: Request) -> int:
    """How many of the oldest turns, each a question with its answer, are beyond our bounds."""
    pairs = list(zip(request.messages[::2], request.messages[1::2], strict=False))
    characters = 0
    for number, (question, answer) in enumerate(reversed(pairs)):
        characters += len(question.text) + len(answer.text)
        if number == MAX_HISTORY or characters > MAX_CHARACTERS:
            return len(pairs) - number
    return 0
