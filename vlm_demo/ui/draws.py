"""Fresh pictures with their truth: what "New scene", "New pair" and the examples put on the page."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from html import escape

from PIL import Image

from vlm_demo import scenes

from . import words

SIZE = 512  # pixels a side of a drawn picture
EXAMPLES = (12, 7, 4, 19, 23, 31)  # seeds


@dataclass(frozen=True)
class Drawn:
    """Pictures, the truth about them as HTML, and questions that can be asked about them."""

    images: list[Image.Image]
    truth: str
    questions: list[str] = field(default_factory=list)


def fresh_seed() -> int:
    return random.SystemRandom().randrange(1_000_000, 1_000_000_000)


def scene(seed: int) -> Drawn:
    """One scene."""
    made = scenes.make_scene(seed)
    questions = [qa.question for qa in made.questions() if qa.kind != "cannot know"]
    return Drawn([made.image(SIZE)], _scene_truth(made), random.Random(seed).sample(questions, min(3, len(questions))))


def pair(seed: int) -> Drawn:
    """Two scenes that differ in one or two ways."""
    made = scenes.make_pair(seed)
    return _several(made.scenes, made.change_text, "What changed?")


def story(seed: int) -> Drawn:
    """Three scenes in a row."""
    made = scenes.make_story(seed)
    return _several(made.scenes, made.text, "What happens across these images?")


def selection(seed: int) -> Drawn:
    """Two to four scenes and a question about which of them."""
    made = scenes.make_selection(seed)
    return _several(made.scenes, f"{made.qa.question} {made.qa.answer}", made.qa.question)


def _several(made: tuple[scenes.Scene, ...], truth: str, question: str) -> Drawn:
    captions = "".join(f"<li>{escape(one.caption('brief'))}</li>" for one in made)
    html = f'<p class="answer">{escape(truth)}</p><ol>{captions}</ol>'
    return Drawn([one.image(SIZE) for one in made], html, [question])


def _scene_truth(made: scenes.Scene) -> str:
    rows = [
        [escape(item.name), '<span class="number">' + ", ".join(f"{value:.2f}" for value in item.bbox) + "</span>"]
        for item in made.objects
    ]
    return f'<p class="answer">{escape(made.caption("brief"))}</p>' + words.table(
        "", ["What", "Box (x, y, w, h)"], rows
    )
