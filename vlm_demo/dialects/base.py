"""What differs between families of models: how a task is asked, and how boxes are written.

A dialect is data and pure functions; it knows neither tensors nor a tokenizer. Who drives the model puts `messages`
through its chat template, or hands `words` to its processor when the family does not chat.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlm_demo.results import EngineError
from vlm_demo.tasks import TASKS

if TYPE_CHECKING:
    import supervision as sv

    from vlm_demo.detection import Parsed

Size = tuple[int, int]  # width, height
Box = list[float]  # four numbers in the family's own order and scale
Record = tuple[Any, Any]  # what an answer says about one object: its label and its numbers, both unchecked

# How families that follow instructions are asked for a caption, by the words of the table of tasks.
CAPTIONS = {
    "brief": "Describe this image in one short sentence.",
    "detailed": "Describe this image in detail.",
    "alt text": "Write an alt text for this image: one factual sentence for someone who cannot see it.",
}


@dataclass(frozen=True)
class Dialect:
    """One family.

    `model_types` are those of configs, or an architecture where one type has several. `captions` maps a style to
    the words that ask for it ("" is the image alone), `question` holds {question}, as `comparison` does where
    several images are compared, `detect` asks for every object and `detect_named` for {names}; None is what the
    family cannot do. With `chat` the words go into chat messages and earlier turns can be kept; with `open_end` the
    model goes on writing where they end. `read` turns an answer into boxes on an image: it takes the text, the
    image's size, and the size at which the model saw it. Special tokens that begin with one of `text_tokens` belong
    to the answer's text. With `own_pixels` boxes cannot be read without the size that the model saw. `packages` are
    those that the family's processor needs beside ours.
    """

    name: str
    model_types: frozenset[str] = frozenset()
    captions: Mapping[str, str] | None = None
    question: str | None = "{question}"
    comparison: str = "{question}"
    detect: str | None = None
    detect_named: str | None = None
    read: Callable[[str, Size, Size], Parsed] | None = None
    chat: bool = True
    open_end: bool = False
    max_images: int = 8
    text_tokens: tuple[str, ...] = ()
    own_pixels: bool = False
    packages: tuple[str, ...] = ()

    @property
    def tasks(self) -> frozenset[str]:
        """Names of the tasks that the family can do."""
        can = {
            "caption": self.captions is not None,
            "detect": self.read is not None,
            "vqa": self.question is not None,
            "compare": self.question is not None and self.max_images > 1,
        }
        return frozenset(task for task, able in can.items() if able)

    def words(self, task: str, text: str) -> str:
        """What the family is told for a task; `text` is a caption style, a question, or names of objects or nothing.

        Raises:
            EngineError: The family cannot do that.
        """
        if task not in self.tasks:
            raise EngineError(f"{self.name} cannot {TASKS[task].ability}. Choose another model for that.")
        if task == "caption":
            if text not in self.captions:
                styles = ", ".join(self.captions)
                raise EngineError(f"{self.name} has no caption style {text!r}, only: {styles}.")
            return self.captions[text]
        if task == "detect":
            if text and self.detect_named is None:
                raise EngineError(f"{self.name} finds every object; it cannot be told which ones to look for.")
            return self.detect_named.replace("{names}", text) if text else self.detect
        if task == "compare" and text == TASKS["compare"].prompts["boxes"]:
            raise EngineError(f"{self.name} cannot box what changed. Ask it what changed.")
        form = self.comparison if task == "compare" else self.question
        return form.replace("{question}", text)

    def messages(self, turns: Sequence[Mapping[str, Any]], images: Sequence[Any]) -> list[dict[str, Any]]:
        """A chat for the model's template; images that no turn places open the first one.

        Args:
            turns: As `ModelRunner.prepare` takes them.
            images: As the processor takes them.

        Raises:
            EngineError: The family cannot do that, or not with so many images.
        """
        self.check_images(len(images))
        left = iter(images)
        messages = []
        for turn in turns:
            content = []
            for part in turn.get("content") or [{"type": "text", "text": turn["text"]}]:
                if part["type"] == "image":
                    content.append({"type": "image", "image": next(left)})
                elif turn["role"] == "user":
                    content.append({"type": "text", "text": self.words(turn["task"], part["text"])})
                else:
                    content.append(part)
            messages.append({"role": turn["role"], "content": content})
        messages[0]["content"][:0] = [{"type": "image", "image": image} for image in left]
        return messages

    def check_images(self, count: int) -> None:
        """Raise EngineError when the family cannot take so many images at once."""
        if count > self.max_images:
            most = "one image" if self.max_images == 1 else f"{self.max_images} images"
            raise EngineError(f"{self.name} takes at most {most} at a time, not {count}.")


def parse_objects(records: Iterable[Record], size: Size, reader: Callable[[list[Box]], sv.Detections]) -> Parsed:
    """Check what an answer says, have supervision read the boxes, and check and clip what that gives.

    Args:
        records: Label and numbers of each object. Those that are not a text and four numbers are dropped, and told.
        size: The image's size, in whose pixels `reader` gives boxes.
        reader: `sv.Detections.from_vlm` on boxes as the family writes them, of which there is at least one.
    """
    from vlm_demo.detection import parse

    good, dropped = [], []
    for record in records:
        fault = _fault(record)
        if fault:
            dropped.append(fault)
        else:
            good.append(record)
    boxes = reader([numbers for _, numbers in good]).xyxy.tolist() if good else []
    objects = []
    for (label, _), box in zip(good, boxes, strict=True):
        left, top, right, bottom = (value / side for value, side in zip(box, (*size, *size), strict=True))
        objects.append({"label": label, "bbox": [left, top, right - left, bottom - top]})
    parsed = parse(json.dumps({"objects": objects}), size)
    parsed.report.dropped[:0] = dropped
    return parsed


def no_boxes(size: Size) -> Parsed:
    """An answer that is not about boxes at all."""
    from vlm_demo.detection import Parsed, Report

    return Parsed([], [], size, Report(failed=True))


def _fault(record: Record) -> str | None:
    """Why supervision cannot read an object."""
    label, numbers = record
    if not isinstance(label, str) or not label.strip():
        return "no label"
    if not isinstance(numbers, list):
        return "no box"
    if len(numbers) != 4:
        return f"{len(numbers)} number{'s' * (len(numbers) != 1)}"
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        return "not a number"
    if numbers[2] < numbers[0] or numbers[3] < numbers[1]:  # supervision would swap them in silence
        return "negative size"
    return None
