"""The seam between the scheduler, which knows no tensors, and a model: it writes tokens, sequence by sequence."""

from __future__ import annotations

import random
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

from vlm_demo.images import LoadedImage
from vlm_demo.results import Novelty


@dataclass(frozen=True)
class Prompt:
    """A chat made ready for a model: token ids with expanded placeholders, and preprocessed images.

    `max_new_tokens` is how many may be written, and fit into the context; `dropped_turns` counts old turns left out to
    make room. The first `prefix` tokens reach up to the last image. Prompts of the same `key` are the same in every
    respect; None is like no other. `grammar` is the form that the answer must have: "boxes" for detections, a tuple of
    texts for one of these, None for any; `begin_suppress_tokens` are not its first token (transformers' generation
    parameter of this name).
    """

    ids: list[int]
    images: list[Any]
    max_new_tokens: int
    dropped_turns: int = 0
    prefix: int = 0
    key: Hashable | None = None
    grammar: str | tuple[str, ...] | None = None
    begin_suppress_tokens: tuple[int, ...] = ()


@dataclass(frozen=True)
class TokenOutput:
    """One token that a model wrote. Probabilities are those of the raw logits at temperature 1; `top` holds the five
    most probable tokens, the chosen one always among them."""

    id: int
    probability: float
    top: list[tuple[int, float]]
    end: bool


@dataclass(eq=False)
class TokenSequence:
    """One sequence in a running batch, written for one request or for several that ask the same.

    Where `no_repeat_ngram_size` is not 0, so many tokens in a row may not occur twice. `random` is its own source of
    chance, so that company cannot change its sample. The runner appends to `outputs` as its last act in `prefill` and
    `decode`, or sets `error` when this sequence alone is broken; `features`, `regions`, `constraint` and `state` belong
    to the runner. `reduced` says what was given up when memory ran out.
    """

    prompt: Prompt
    temperature: float = 0.0
    top_p: float = 1.0
    no_repeat_ngram_size: int = 0
    random: random.Random = field(default_factory=random.Random)
    outputs: list[TokenOutput] = field(default_factory=list)
    novelty: list[Novelty] = field(default_factory=list)
    error: Exception | None = None
    reduced: str = ""
    features: Any = None
    regions: Any = None
    constraint: Any = None
    state: Any = None


class ModelRunner(Protocol):
    """A model that writes several sequences at once, one token each at a time.

    `prepare`, `text`, `token_text` and the attributes may be used from any thread; everything else runs on the engine's
    worker thread alone. `encode`, `prefill` and `decode` may be called with fewer sequences after they have raised.
    """

    name: str
    device: str
    dtype: str
    loaded: bool
    parameters: int
    max_sequences: int

    def load(self) -> None:
        """Load the weights if they are not loaded."""

    def unload(self) -> None:
        """Free weights and caches."""

    def memory(self) -> tuple[int, int]:
        """Bytes that the model takes on its device, and that this process has reserved there."""

    def prepare(
        self, turns: list[dict[str, Any]], images: list[LoadedImage], new_tokens: int, choices: tuple[str, ...] = ()
    ) -> Prompt:
        """Tokenize a chat and preprocess its images; raises EngineError when the last question alone does not fit.

        `turns`: dicts with `role` ("user" or "assistant"), `task` (None on assistant turns) and `text`, oldest first.
        `choices`: where there are any, the answer is one of these texts.
        """

    def encode(self, sequences: list[TokenSequence]) -> None:
        """Fill `features` and `novelty` of each sequence."""

    def prefill(self, sequences: list[TokenSequence]) -> None:
        """Read the prompts and write each sequence's first token."""

    def decode(self, sequences: list[TokenSequence]) -> None:
        """Write one more token for each sequence."""

    def reduce(self, sequence: TokenSequence) -> None:
        """Memory ran out before the first token: free what can be done without, and give the sequence a prompt that
        needs less. What was given up goes into `reduced`."""

    def release(self, sequence: TokenSequence) -> None:
        """Forget a sequence's state; harmless for a sequence that was never prefilled."""

    def novelty(self, prompt: Prompt) -> list[Novelty]:
        """How far each image of a prompt lies from the training images."""

    def text(self, ids: list[int]) -> str:
        """Token ids as text, without special tokens."""

    def token_text(self, id: int) -> str:
        """One token as a person may see it, special ones by name."""
