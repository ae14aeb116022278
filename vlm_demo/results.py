"""What goes into the engine and what comes out of it: the request, the result, the status, errors for people."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vlm_demo.tasks import TASKS

if TYPE_CHECKING:
    from vlm_demo.detection import Parsed


class EngineError(Exception):
    """A message that a person can act on."""


class QueueFull(EngineError):
    """The request was refused at once because too many are waiting; nothing was started."""


def explain(error: BaseException, what: str) -> EngineError:
    """Any exception as words for people; `what` says what could not be done."""
    if isinstance(error, EngineError):
        return error
    if is_out_of_memory(error):
        return EngineError(f"{what}: out of memory. Free memory or try a shorter request.")
    return EngineError(f"{what}: {type(error).__name__}: {error}")


@dataclass(frozen=True)
class Visitor:
    """Who asks, as a `session` of the engine: the name that a client has given itself, and the address that it comes
    from, which it cannot choose. Addresses take turns as sessions do."""

    name: str
    address: str


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, of this process or of a GPU."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in words or "allocate memory" in words


MAX_STOPS = 8  # texts that may end one answer


@dataclass(frozen=True)
class SamplingParameters:
    """How an answer is written.

    `temperature` 0 is greedy; `max_new_tokens` None is the task's own limit; `seed` None draws a fresh seed (the result
    tells which). Each of the texts in `stop` ends the answer, which keeps what came before it. Where there are
    `choices`, the answer is one of these texts. Raises EngineError where a value makes no sense.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 10.0:  # also refuses NaN
            raise EngineError(f"Temperature must lie between 0 (greedy) and 10, not {self.temperature}.")
        if not 0.0 < self.top_p <= 1.0:
            raise EngineError(f"Top-p must lie above 0 and at most at 1, not {self.top_p}.")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise EngineError(f"The length must be at least 1 token, not {self.max_new_tokens}.")
        if len(self.stop) > MAX_STOPS or not all(isinstance(text, str) and text for text in self.stop):
            raise EngineError(f"What ends an answer must be at most {MAX_STOPS} texts, none of them empty.")
        if not all(isinstance(text, str) and text.strip() for text in self.choices):
            raise EngineError("An answer to choose from must not be empty.")


@dataclass(frozen=True)
class Message:
    """One turn of a chat, as in Hugging Face's chat messages: `role` is "user" or "assistant", `content` holds texts
    and images in the order in which they are read. An image is whatever `vlm_demo.images.load` takes."""

    role: str
    content: tuple[Any, ...]

    @property
    def text(self) -> str:
        return " ".join(part for part in self.content if isinstance(part, str))

    @property
    def images(self) -> tuple[Any, ...]:
        return tuple(part for part in self.content if not isinstance(part, str))


@dataclass(frozen=True)
class Request:
    """What somebody wants to know: a task of the table, a chat whose last message is the user's, how the answer is
    written, and by which model (None: the engine's own). Raises EngineError where that makes no sense."""

    task: str
    messages: tuple[Message, ...]
    sampling: SamplingParameters = field(default_factory=SamplingParameters)
    model: str | None = None

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise EngineError(f"There is no task {self.task!r}; choose one of {', '.join(TASKS)}.")
        if len(self.messages) % 2 == 0 or any(
            message.role != ("user", "assistant")[number % 2] for number, message in enumerate(self.messages)
        ):
            raise EngineError("In a chat, user and assistant take turns, and the user has the first and the last word.")
        if any(message.images for message in self.messages if message.role == "assistant"):
            raise EngineError("Only the user's messages may hold images.")


@dataclass(frozen=True)
class Token:
    """One written token.

    `text` may be empty: a special token, or the first bytes of a character that a later token completes.
    `probability` and the five `alternatives` (text, probability; the chosen one among them) come from the softmax of
    the raw logits at temperature 1, whatever the sampling settings were.
    """

    id: int
    text: str
    probability: float
    alternatives: list[tuple[str, float]]


@dataclass
class Timings:
    """Seconds spent waiting in the queue, encoding images, reading the prompt, and writing after the first token."""

    queue: float = 0.0
    encode: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0

    @property
    def total(self) -> float:
        return self.queue + self.encode + self.prefill + self.decode


@dataclass(frozen=True)
class Position:
    """Where a request waits in the queue: `number` 1 is next; `seconds` is None until a rate has been measured."""

    number: int
    seconds: float | None

    def __str__(self) -> str:
        last = self.number % 10 if self.number % 100 not in (11, 12, 13) else 0
        ordinal = f"{self.number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"
        return f"you are {ordinal}" + ("" if self.seconds is None else f", about {max(1, round(self.seconds))} s")


@dataclass
class Result:
    """An answer, whole (`finish_reason` tells how it ended) or still being written (`finish_reason == "running"`).

    The texts of `tokens` concatenate to `text`; the end token is counted in `new_tokens` but is not among `tokens`.
    `parsed` holds the detections of a finished detect answer, or of a compare answer written as JSON (measured on the
    first image). `position` is set while the request waits. `novelty` holds one score an image when the checkpoint
    can tell, and `outside` says that an image is far from what the model was trained on. `dropped_turns` counts the
    oldest turns of a chat that no longer fit into the model's context. `seed` is the seed that sampled this text. Of a
    `calibrated` model, `chance` is how often such answers were right on validation images; None: not measured.
    `unfamiliar` says that the question is unlike those that the model was trained on, and its answer probably wrong.
    `reduced` says what was given up when memory ran out; usually nothing.
    """

    task: str
    prompt: str
    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    parsed: Parsed | None = None
    timings: Timings = field(default_factory=Timings)
    prompt_tokens: int = 0
    new_tokens: int = 0
    finish_reason: str = "running"  # running, stop, length, cancelled
    outside: bool = False
    novelty: list[float] = field(default_factory=list)
    model: str = ""
    seed: int | None = None
    dropped_turns: int = 0
    position: Position | None = None
    calibrated: bool = False
    chance: float | None = None
    unfamiliar: bool = False
    reduced: str = ""

    @property
    def confidence(self) -> float | None:
        """Geometric mean of the probabilities of `tokens` (so without the end token); None before the first."""
        if not self.tokens:
            return None
        logs = [math.log(max(token.probability, 1e-12)) for token in self.tokens]
        return math.exp(sum(logs) / len(logs))


@dataclass(frozen=True)
class Novelty:
    """How far an image lies from the training images; None and False where the checkpoint cannot tell."""

    score: float | None
    threshold: float | None
    outside: bool


@dataclass(frozen=True)
class Status:
    """What is loaded and what it takes: `allocated` and `reserved` on the device, `resident` for the whole process."""

    model: str
    device: str
    dtype: str
    loaded: bool
    parameters: int
    allocated_bytes: int
    reserved_bytes: int
    resident_bytes: int
    running: int
    waiting: int
    position: Position | None = None  # of a request that came now; None: it would not wait

    def __str__(self) -> str:
        process = f"process {size(self.resident_bytes)}"
        if not self.loaded:
            return f"{self.model} · not loaded · {process}"
        if self.device == "elsewhere":
            return f"{self.model} · on another machine · {process}"
        return (
            f"{self.model} · {self.parameters / 1e6:.1f} M parameters · {self.device} {self.dtype} · "
            f"{size(self.allocated_bytes)} in use, {size(self.reserved_bytes)} reserved · {process}"
            + (f" · if you ask now, {self.position}" if self.position else "")
        )


def size(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
