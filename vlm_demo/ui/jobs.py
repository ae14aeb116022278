"""From a routed request to calls of the model: which task on which picture, with which words."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm_demo.images import LoadedImage
from vlm_demo.results import SamplingParameters
from vlm_demo.tasks import TASKS

if TYPE_CHECKING:
    from vlm_demo.engine import Engine, Generation

Start = Callable[[SamplingParameters, Hashable | None, str | None], "Generation"]


@dataclass
class Job:
    """One call of the model that has not begun; `picture` is the number of the picture that it is about, 0 for all."""

    title: str
    picture: int
    start: Start


def style_of(text: str) -> str:
    """The caption style that the words ask for."""
    if re.search(r"\balt\b|screen.?reader|accessib", text, re.IGNORECASE):
        return "alt"
    return "detailed" if re.search(r"\bdetail|\blong\b|everything", text, re.IGNORECASE) else "brief"


def plan(engine: Engine, parts: Mapping[str, str], pictures: Sequence[LoadedImage]) -> list[Job]:
    """The calls for a request, one task after the other; `parts` holds each task's words, as `Route.parts` does.

    Captions and boxes come once for each picture.
    """
    jobs: list[Job] = []
    for task, words in parts.items():
        if task == "vqa":
            jobs.append(Job("Answer", 0, _start(engine.answer_stream, list(pictures), words, ())))
        elif task == "compare":
            jobs.append(Job("Comparison", 0, _start(engine.compare_stream, list(pictures), words or "change")))
        else:
            for number, picture in enumerate(pictures, 1):
                title = TASKS[task].title + (f", picture {number}" if len(pictures) > 1 else "")
                about = [engine.detect_stream, picture]
                if task == "caption":
                    about = [engine.caption_stream, picture, style_of(words)]
                jobs.append(Job(title, number, _start(*about)))
    return jobs


def _start(stream: Callable[..., Generation], *arguments: object) -> Start:
    return lambda settings, session, model=None: stream(*arguments, settings, session, model)
