"""An engine whose model is a script: it knows the truth of registered scenes and writes it slowly, word by word."""

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from vlm_demo.description import Description
from vlm_demo.engine import Engine
from vlm_demo.images import LoadedImage
from vlm_demo.results import Novelty
from vlm_demo.runners.base import Prompt, TokenOutput, TokenSequence
from vlm_demo.scenes import Pair, Scene

Reply = Callable[[list[dict[str, Any]], list[Image.Image]], str]
LONG = " ".join(f"word{number}" for number in range(1, 200)) + "."


class FakeRunner:
    """Writes what `reply(turns, images)` says, one word each `delay` seconds; keeps every chat that it was asked."""

    name, device, dtype = "fake", "cpu", "float32"
    parameters, max_sequences = 1_000_000, 8
    description = Description(samples="scenes")

    def __init__(self, reply: Reply, delay: float = 0.0, outside: bool = False) -> None:
        self.reply, self.delay, self.outside = reply, delay, outside
        self.loaded = False
        self.asked: list[list[dict[str, Any]]] = []
        self._pieces: list[str] = ["</s>"]
        self._scripts: dict[int, list[int]] = {}

    def load(self) -> None:
        self.loaded = True

    def unload(self) -> None:
        self.loaded = False

    def memory(self) -> tuple[int, int]:
        return (4_000_000, 8_000_000) if self.loaded else (0, 0)

    def prepare(self, turns: list[dict[str, Any]], images: list[LoadedImage], new_tokens: int, choices=()) -> Prompt:
        if new_tokens > 1:  # else an image is only measured
            self.asked.append(turns)
        pieces = re.findall(r"\s*[\w.]+|\s*\S", self.reply(turns, [image.rgb for image in images]))
        ids = []
        for piece in pieces:
            if piece not in self._pieces:
                self._pieces.append(piece)
            ids.append(self._pieces.index(piece))
        return Prompt([*ids, 0], images, new_tokens)

    def encode(self, sequences: list[TokenSequence]) -> None:
        for sequence in sequences:
            sequence.novelty = self.novelty(sequence.prompt)

    def prefill(self, sequences: list[TokenSequence]) -> None:
        self.decode(sequences)

    def decode(self, sequences: list[TokenSequence]) -> None:
        time.sleep(self.delay)
        for sequence in sequences:
            token = sequence.prompt.ids[len(sequence.outputs)]
            other = (token + 1) % len(self._pieces)
            sequence.outputs.append(TokenOutput(token, 0.9, [(token, 0.9), (other, 0.06)], token == 0))

    def reduce(self, sequence: TokenSequence) -> None:
        sequence.reduced = "memory ran out"

    def release(self, sequence: TokenSequence) -> None:
        pass

    def novelty(self, prompt: Prompt) -> list[Novelty]:
        return [Novelty(9.0 if self.outside else 1.0, 5.0, self.outside) for _ in prompt.images]

    def text(self, ids: list[int]) -> str:
        return "".join(self._pieces[id] for id in ids if id)

    def token_text(self, id: int) -> str:
        return self._pieces[id]


def fake_engine(reply: Reply | str = LONG, delay: float = 0.0, outside: bool = False) -> Engine:
    """An Engine on a FakeRunner; `reply` may be one text for every question."""
    return Engine(runner=FakeRunner(reply if callable(reply) else lambda turns, images: reply, delay, outside))


def oracle(*known: Scene | Pair) -> Reply:
    """A reply that tells the truth about these scenes and pairs, whichever of them the pictures show."""
    scenes = [scene for one in known for scene in (one.scenes if isinstance(one, Pair) else [one])]
    pairs = [one for one in known if isinstance(one, Pair)]
    marks = np.stack([_mark(scene.image(64)) for scene in scenes])  # [S, 192]

    def reply(turns: list[dict[str, Any]], images: list[Image.Image]) -> str:
        task, text = turns[-1]["task"], turns[-1]["text"]
        seen = [scenes[int(np.abs(marks - _mark(image)).sum(1).argmin())] for image in images]
        scene = seen[0]
        if task == "caption":
            return scene.caption({"brief": "brief", "detailed": "detailed", "alt text": "alt"}[text])
        if task == "detect":
            return scene.detections_json()
        if task == "compare":
            pair = next((pair for pair in pairs if list(pair.scenes) == seen), None)
            if pair is None:
                return "Nothing changed."
            return pair.boxes_json if text.startswith("Box") else pair.change_text
        answers = {qa.question: qa.answer for qa in scene.questions()}
        return answers.get(text, str(len(scene.objects)) if text.startswith("How many objects") else "yes")

    return reply


def _mark(image: Image.Image) -> np.ndarray:
    """What little of a picture tells scenes apart: 8 by 8 colours, flat."""
    return np.asarray(image.resize((8, 8), Image.Resampling.BOX), dtype=float).ravel()
