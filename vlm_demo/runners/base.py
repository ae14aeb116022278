"""What the engine drives: the meeting point between the scheduler, which knows no tensors, and a model."""

from __future__ import annotations

import random
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from vlm_demo.results import Novelty


@dataclass(frozen=True)
class Prompt:
    """A chat made ready for a model: token ids with expanded placeholders, and preprocessed pictures.

    `room` is how many new tokens fit into the context; `dropped_turns` counts old turns left out to make room. The
    first `prefix` tokens reach up to the last picture. Prompts of the same `key` are the same in every respect; None
    is like no other.
    """

    ids: list[int]
    pictures: list[Any]
    room: int
    dropped_turns: int = 0
    prefix: int = 0
    key: Hashable | None = None


@dataclass(frozen=True)
class Step:
    """One token that a model wrote. Probabilities are those of the raw logits at temperature 1; `top` holds the five
    most probable tokens, the chosen one always among them."""

    id: int
    probability: float
    top: list[tuple[int, float]]
    end: bool


@dataclass(eq=False)
class Row:
    """One sequence in a running batch, written for one request or for several that ask the same.

    `random` is its own source of chance, so that company cannot change its sample. The runner appends to `steps` as
    its last act in `prefill` and `step`, or sets `error` when this row alone is broken; `features` and `state` belong
    to the runner.
    """

    prompt: Prompt
    temperature: float = 0.0
    top_p: float = 1.0
    random: random.Random = field(default_factory=random.Random)
    steps: list[Step] = field(default_factory=list)
    novelty: list[Novelty] = field(default_factory=list)
    error: Exception | None = None
    features: Any = None
    state: Any = None


class ModelRunner(Protocol):
    """A model that writes several sequences at once, one token each at a time.

    `prepare`, `text`, `piece` and the attributes may be used from any thread; everything else runs on the engine's
    worker thread alone. `encode`, `prefill` and `step` may be called again with fewer rows after they have raised.
    """

    name: str
    device: str
    dtype: str
    loaded: bool
    parameters: int
    max_rows: int

    def load(self) -> None:
        """Load the weights if they are not loaded."""

    def unload(self) -> None:
        """Free weights and caches."""

    def memory(self) -> tuple[int, int]:
        """Bytes (allocated, reserved) on the device."""

    def prepare(self, turns: list[dict[str, Any]], images: list[Image.Image], new_tokens: int) -> Prompt:
        """Tokenize a chat and preprocess its pictures; raises EngineError when the last question alone does not fit.

        `turns`: dicts with `role` ("user" or "assistant"), `task` (None on assistant turns) and `text`, oldest first.
        """

    def encode(self, rows: list[Row]) -> None:
        """Fill `features` and `novelty` of each row."""

    def prefill(self, rows: list[Row]) -> None:
        """Read the prompts and write each row's first token."""

    def step(self, rows: list[Row]) -> None:
        """Write one more token for each row."""

    def release(self, row: Row) -> None:
        """Forget a row's state; harmless for a row that was never prefilled."""

    def novelty(self, prompt: Prompt) -> list[Novelty]:
        """How far each picture of a prompt lies from the training pictures."""

    def text(self, ids: list[int]) -> str:
        """Token ids as text, without special tokens."""

    def piece(self, id: int) -> str:
        """One token as a person may see it, special ones by name."""
