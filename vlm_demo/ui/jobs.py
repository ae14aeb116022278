"""From a routed request to calls of the model: which task on which image, with which words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vlm_demo.images import LoadedImage
from vlm_demo.results import EngineError, Message, Request
from vlm_demo.tasks import TASKS

from .draws import SCENES

if TYPE_CHECKING:
    from vlm_demo.engine import Engine, Generation
    from vlm_demo.router import Router

CHANGE = TASKS["compare"].prompts["change"]
BOXES = "Boxes of the change"
Start = Callable[..., "Generation"]  # of the sampling parameters, the session and the model


@dataclass
class Job:
    """One call of the model that has not begun; `image` is the number of the image that it is about, 0 for all."""

    title: str
    image: int
    start: Start


# What stands before and behind the words for a thing, in requests for boxes.
ASKED = re.compile(
    r"^(?:(?:and|then|also|now|please|can you|could you|would you|i want(?: to see)?|tell me|just)\b[\s,]*)*"
    r"(?:(?:find|box|mark|locate|detect|highlight|frame|circle|spot|outline|point (?:at|to|out)|look for|search for"
    r"|draw (?:a )?(?:box|boxes|rectangle|rectangles) (?:around|on|over)|put (?:a )?(?:box|boxes) (?:around|on)"
    r"|show(?: me)?(?: where)?|where(?:'s| is| are|s)?|how many|count(?: up)?|give me(?: boxes (?:of|for))?"
    r"|what number of|boxes (?:of|for|around)|list|name|me)\b[\s,]*)*",
    re.IGNORECASE,
)
BEHIND = re.compile(
    r"(?:[\s,]*\b(?:please|and|is|are|there|do you see|can you see|in (?:the|this) (?:picture|image|photo|scene)"
    r"|here|located|for me|with boxes|with a box|where|if any|too)\b)*[\s?.!,]*$",
    re.IGNORECASE,
)
# Words for another task, of a person who then chose boxes.
ELSE = re.compile(
    r"(?:please |can you |could you )*(?:describe|caption|explain|summari[sz]e|write|compare|tell me about"
    r"|what (?:is|are|does|do|did|has|have|changed|happened))\b",
    re.IGNORECASE,
)
ALL = re.compile(
    r"(?:(?:all|every|each)(?: (?:of )?(?:the )?)?)?(?:it|its|they|them|these|those|everything|all|(?:the |all )*"
    r"(?:objects?|things?|items?)|where|this|that)?",
    re.IGNORECASE,
)


def named_in(request: str) -> str:
    """The words for what is to be found: "the red cat" of "please find the red cat"; empty where that is everything,
    what has been spoken of before ("where are they?"), or the words asked for something else ("describe it")."""
    if ELSE.match(request.strip()):
        return ""
    words = BEHIND.sub("", ASKED.sub("", request.strip()))
    return "" if ALL.fullmatch(words.strip()) else words.strip()


def style_of(text: str) -> str:
    """The caption style that the words ask for."""
    if re.search(r"\balt\b|screen.?reader|accessib", text, re.IGNORECASE):
        return "alt"
    return "detailed" if re.search(r"\bdetail|\blong\b|everything", text, re.IGNORECASE) else "brief"


def comparisons(engine: Engine, question: str, count: int, model: str | None = None) -> list[str]:
    """What a model is asked about `count` images: the question, and where that is what changed, for boxes, too.

    Raises EngineError where more images would be left out in silence.
    """
    if question.strip().lower() != CHANGE.lower():
        return [question]
    if count > 2:
        raise EngineError(
            f"What changed is told about two images, and here are {count}. "
            "Remove some, or ask what happens across them."
        )
    # Only in drawn scenes has a change a place.
    boxed = engine.description(model).samples == SCENES and engine.capabilities(model).boxed_changes
    return [CHANGE, "boxes"] if boxed else [CHANGE]


def plan(
    engine: Engine, parts: Mapping[str, str], images: Sequence[LoadedImage], model: str | None = None
) -> list[Job]:
    """The calls for a request, one task after the other; `parts` holds each task's words, as `Route.parts` does.

    Captions and boxes come once for each image.
    """
    jobs: list[Job] = []
    spoken = parts.get("vqa", "")  # "how many cats, and where?": what is to be found stands in the question
    for task, words in parts.items():
        if task == "vqa":
            jobs.append(Job("Answer", 0, partial(engine.answer_stream, list(images), words, ())))
        elif task == "compare":
            for question in comparisons(engine, words or CHANGE, len(images), model):
                title = BOXES if question == "boxes" else "Comparison"
                jobs.append(Job(title, 0, partial(engine.compare_stream, list(images), question)))
        else:
            for number, image in enumerate(images, 1):
                title = TASKS[task].title + (f", image {number}" if len(images) > 1 else "")
                if task == "caption":
                    start = partial(engine.caption_stream, image, style_of(words))
                else:
                    start = partial(engine.detect_stream, image, what=named_in(words) or named_in(spoken))
                jobs.append(Job(title, number, start))
    return jobs


def about_one(engine: Engine, task: str, image: LoadedImage, text: str | None) -> Start:
    """A task on one image, by its name: a brief caption, boxes (of what is named in `text`) or an answer. A field that
    was never shown has None for a text."""
    message = Message("user", (image, TASKS[task].prompts.get("brief", (text or "").strip())))
    return lambda settings, session, model: engine.stream(Request(task, (message,), settings, model), session)


def in_chat(
    engine: Engine, router: Router, text: str, images: Sequence[LoadedImage], turns: Sequence[tuple[str, str]]
) -> Start:
    """How a question typed in Chat is asked: a tag does what it says or is refused in words (EngineError), and what
    compares images goes where comparing was learned; all else is a question."""
    route = router.route(text, len(images))
    if route.tagged:
        if "detect" in route.tasks:
            raise EngineError(
                f"{TASKS['detect'].tag} draws boxes, which Chat cannot show. Use Detect or Auto, or ask: where is it?"
            )
        if route.unsure:
            raise EngineError(route.note or "That could mean several things.")
        if route.tasks == ["caption"]:
            if len(images) > 1:
                raise EngineError(f"{TASKS['caption'].tag} takes one image. Ask, for example: describe image 2.")
            return partial(engine.caption_stream, images[0], style_of(route.text))
    if route.tasks == ["compare"] and not route.unsure:
        return partial(engine.compare_stream, list(images), route.text or "change")
    return partial(engine.answer_stream, list(images), route.text, list(turns))
