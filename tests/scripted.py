"""A scripted model that a test can hold at any token, and what is needed to ask it."""

import threading
import time
from dataclasses import replace

from PIL import Image

from vlm_demo.description import Description
from vlm_demo.engine import Engine, Generation, SamplingParameters
from vlm_demo.results import Novelty
from vlm_demo.runners.base import Prompt, TokenOutput, TokenSequence

LONG = "la " * 2000
IMAGE = Image.new("RGB", (64, 48), "navy")


class Bytes:
    """Writes the last question back, one byte a token.

    `go` lets it step; without permission it waits. Before each step whose number (from 0) is in `stops` it takes the
    permission back itself, so that a test finds it where it wants it, however slow the machine is.
    """

    name, device, dtype, parameters = "bytes", "cpu", "float32", 3_000_000
    description = Description(samples="scenes")

    def __init__(self, max_sequences: int = 8) -> None:
        self.max_sequences = max_sequences
        self.loaded = False
        self.loads = self.steps = 0
        self.go = threading.Event()
        self.go.set()
        self.stops: set[int] = set()
        self.joined: list[str] = []
        self.reading = 0.0  # seconds a token of a prompt
        self.prefills: list[int] = []  # sequences in each
        self.released: list[TokenSequence] = []
        self.trouble: BaseException | None = None
        self.room = 0  # longest answer for which there is memory, where a question "takes much"

    def load(self) -> None:
        self.loads += not self.loaded
        self.loaded = True

    def unload(self) -> None:
        self.loaded = False

    def memory(self) -> tuple[int, int]:
        return (12_000_000, 16_000_000) if self.loaded else (0, 0)

    def prepare(self, turns, images, new_tokens, choices=()) -> Prompt:
        text = turns[-1]["text"]
        return Prompt(list(text.encode()), images, new_tokens, key=text if text.startswith("same") else None)

    def encode(self, sequences) -> None:
        assert self.loaded
        for sequence in sequences:
            sequence.novelty = self.novelty(sequence.prompt)

    def prefill(self, sequences) -> None:
        self.prefills.append(len(sequences))
        for sequence in sequences:
            time.sleep(self.reading * len(sequence.prompt.ids))
            if bytes(sequence.prompt.ids) == b"bad prefill":
                raise MemoryError("no room")
            if bytes(sequence.prompt.ids).endswith(b"takes much") and sequence.prompt.max_new_tokens > self.room:
                raise MemoryError("no room")
        self.joined += [bytes(sequence.prompt.ids).decode() for sequence in sequences]
        self._write(sequences)

    def decode(self, sequences) -> None:
        if self.steps in self.stops:
            self.stops.remove(self.steps)
            self.go.clear()
        assert self.go.wait(60)
        self.steps += 1
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble
        for sequence in sequences:
            if bytes(sequence.prompt.ids) == b"bad step" and len(sequence.outputs) == 3:
                raise RuntimeError("boom")
        self._write(sequences)

    def _write(self, sequences) -> None:
        for sequence in sequences:
            text = sequence.prompt.ids
            end = len(sequence.outputs) == len(text)
            id = 0 if end else text[len(sequence.outputs)]
            sequence.outputs.append(TokenOutput(id, 0.5, [(id, 0.5), (120, 0.1)], end))

    def reduce(self, sequence) -> None:
        sequence.prompt = replace(sequence.prompt, max_new_tokens=sequence.prompt.max_new_tokens // 2)
        sequence.reduced = "half the length was tried"

    def release(self, sequence) -> None:
        self.released.append(sequence)

    def novelty(self, prompt) -> list[Novelty]:
        return [Novelty(2.0, 1.0, True) for _ in prompt.images]

    def text(self, ids) -> str:
        return bytes(id for id in ids if id).decode(errors="replace")

    def token_text(self, id) -> str:
        return chr(id)


def ask(engine: Engine, question: str, session: str | None = None, tokens: int = 5000) -> Generation:
    return engine.answer_stream(IMAGE, question, settings=SamplingParameters(max_new_tokens=tokens), session=session)


def until(condition) -> None:
    deadline = time.monotonic() + 60  # a busy machine is slow, not wrong
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.002)


def held(model: Bytes) -> bool:
    """Whether the model waits at one of its stops."""
    return not model.go.is_set()
