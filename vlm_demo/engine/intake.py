"""What people ask, made into a request, checked, with its images opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vlm_demo.images import ImageError, LoadedImage, load
from vlm_demo.results import EngineError, Message, Request, SamplingParameters
from vlm_demo.tasks import TASKS

MAX_QUESTION = 20_000  # characters; what a model can read is less, this bounds the work of finding out

ImageSource = Any  # whatever vlm_demo.images.load takes
History = Sequence[tuple[str, str]]


def new_request(
    task: str,
    images: list[ImageSource],
    text: str,
    history: History,
    settings: SamplingParameters | None,
    model: str | None,
) -> Request:
    """A request about images that open the chat."""
    texts = [text.strip() if isinstance(text, str) else ""]
    for pair in reversed(history):
        if len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise EngineError("The history must be a list of pairs of texts: (question, answer).")
        texts = [*pair, *texts]
    messages = [Message(("user", "assistant")[number % 2], (one,)) for number, one in enumerate(texts)]
    messages[0] = Message("user", (*images, texts[0]))
    return Request(task, tuple(messages), settings or SamplingParameters(), model)


def check(request: Request) -> None:
    """Raise EngineError where a request has not the images or words that its task needs."""
    spec, text = TASKS[request.task], request.messages[-1].text
    if not text.strip() and "" not in spec.prompts.values():
        raise EngineError("Please type a question first.")
    if len(text) > MAX_QUESTION:
        raise EngineError(f"The question has {len(text):,} characters; please keep it under {MAX_QUESTION:,}.")
    count = sum(len(message.images) for message in request.messages)
    if not spec.min_images <= count <= spec.max_images:
        few, many = spec.min_images, spec.max_images
        wanted = f"{few}" if few == many else f"{few} to {many}"
        raise EngineError(f"{spec.title} takes {wanted} image{'s' if many > 1 else ''}, not {count}.")


def checked_box(box: Sequence[float]) -> tuple[float, float, float, float]:
    """A box [x, y, width, height], 0 to 1, clipped to the image; EngineError where it is none."""
    try:
        x, y, w, h = (float(value) for value in box)
    except (TypeError, ValueError):
        raise EngineError("A box is four numbers from 0 to 1: left, top, width, height.") from None
    left, right = (min(max(value, 0.0), 1.0) for value in (x, x + w))
    top, bottom = (min(max(value, 0.0), 1.0) for value in (y, y + h))
    if not (right - left > 0 and bottom - top > 0):  # also refuses NaN
        raise EngineError("The box must lie in the image and have a width and a height, each as a share from 0 to 1.")
    return left, top, right - left, bottom - top


def opened(request: Request) -> Request:
    """The request with all its images loaded."""
    messages = [
        replace(message, content=tuple(part if isinstance(part, str) else open_image(part) for part in message.content))
        for message in request.messages
    ]
    return replace(request, messages=tuple(messages))


def open_image(image: ImageSource) -> LoadedImage:
    """An image as everything behind takes it; raises EngineError where it cannot be read."""
    if image is None:
        raise EngineError("Please choose an image first.")
    try:
        return load(image)
    except ImageError as error:
        raise EngineError(str(error)) from error
