"""Answers of a checkpoint to the examples of a source, through the engine that the app uses."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from PIL import Image

from train.data import Example, Source
from vlm_demo.detection import Parsed, Report, parse
from vlm_demo.engine import Engine, EngineError, Message, Request, Result
from vlm_demo.tasks import TASKS

AT_ONCE = 64  # examples whose images are in memory, and that the engine may batch
SHOWN_SIDE = 320  # pixels of the images that are kept to be shown


@dataclass(frozen=True)
class Prediction:
    """The model's answer to one example, with the reference. `images` are small, and empty where they were not to be
    kept; `size` is that of the first image as it was asked about. `failure` says why there is no answer."""

    name: str
    task: str
    reference: dict[str, Any]
    size: tuple[int, int]
    images: tuple[Image.Image, ...]
    result: Result
    failure: str | None = None

    @property
    def reference_boxes(self) -> Parsed:
        """The reference of a detection in the form of a parsed answer."""
        labels, boxes = self.reference["labels"], self.reference["boxes"]
        objects = [
            {"label": label, "bbox": list(box), "image": None, "confidence": None}
            for label, box in zip(labels, boxes, strict=True)
        ]
        return Parsed(objects, list(dict.fromkeys(labels)), self.size, Report(read=len(objects)))

    @property
    def reference_text(self) -> str:
        """The reference in words."""
        if "boxes" in self.reference:
            return ", ".join(self.reference["labels"]) or "nothing"
        return " / ".join(
            dict.fromkeys(self.reference.get("captions") or self.reference.get("answers") or [self.reference["answer"]])
        )


def ask(engine: Engine, example: Example) -> Result:
    """What the app would answer to the last question of an example; earlier turns are those of the reference."""
    fixed = {"caption": TASKS["caption"].prompts["brief"], "detect": ""}  # as the page asks
    *texts, _ = [_text(turn) for turn in example.turns]
    if example.task in fixed:
        texts = [fixed[example.task]]
    messages = [Message(("user", "assistant")[number % 2], (text,)) for number, text in enumerate(texts)]
    messages[0] = Message("user", (*example.images, texts[0]))
    return engine.stream(Request(example.task, tuple(messages))).result()


def answer_source(engine: Engine, source: Source, limit: int | None, shown: int = 0) -> Iterator[Prediction]:
    """Answers to the first `limit` examples that can be read; the first `shown` keep their images.

    A question that the engine refuses counts as an empty answer. Raises EngineError where the model cannot be
    loaded.
    """
    engine.load()
    examples = source.examples(limit)
    number = 0
    with ThreadPoolExecutor(AT_ONCE // 2) as pool:
        while some := list(islice(examples, AT_ONCE)):
            for example, (result, failure) in zip(some, pool.map(lambda one: _tried(engine, one), some), strict=True):
                images = tuple(map(_small, example.images)) if number < shown else ()
                size = example.images[0].size if example.images else (1, 1)
                yield Prediction(example.name, example.task, example.reference, size, images, result, failure)
                number += 1


def _tried(engine: Engine, example: Example) -> tuple[Result, str | None]:
    try:
        return ask(engine, example), None
    except EngineError as error:
        empty = parse("", example.images[0].size) if example.task == "detect" else None
        return Result(example.task, "", parsed=empty, finish_reason="failed"), str(error)


def _text(turn: dict[str, Any]) -> str:
    parts = turn.get("content", [{"type": "text", "text": turn.get("text", "")}])
    return " ".join(part["text"] for part in parts if part["type"] == "text").strip()


def _small(image: Image.Image) -> Image.Image:
    copy = image.copy()
    copy.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    return copy
