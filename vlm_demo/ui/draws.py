"""Fresh images with what is known of them: what "New scene", "New pair" and the examples put on the page.

Each comes from a model's own world: drawn icon scenes with their exact truth, or photographs that come with the page.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from PIL import Image

from vlm_demo import scenes
from vlm_demo.samples import Sample, samples

from . import words

SIZE = 512  # pixels a side of a drawn image
EXAMPLES = (12, 7, 4, 19, 23, 31)  # seeds
SCENES, PHOTOGRAPHS = "scenes", "photographs"  # worlds, as a model's description names them
LABELS = {  # what the buttons of scenes are called where they bring photographs
    "New scene": "Another photograph",
    "New pair": "Two photographs",
    "New story": "Three photographs",
    "Which scene": "Which photograph",
}
QUESTIONS = ["What do you see?", "Is there a person in the picture?", "List everything in the picture."]


@dataclass(frozen=True)
class Drawn:
    """Images, those of the files that come with the page as paths; the truth about them as HTML, where it is known;
    and questions that can be asked about them."""

    images: list[Image.Image] | list[Path]
    truth: str
    questions: list[str] = field(default_factory=list)


def fresh_seed() -> int:
    return random.SystemRandom().randrange(1_000_000, 1_000_000_000)


def scene(seed: int, world: str = SCENES) -> Drawn:
    """One scene, or one photograph."""
    if world == PHOTOGRAPHS:
        return _photographs(_sampled(seed, 1), QUESTIONS)
    new = scenes.make_scene(seed)
    questions = [qa.question for qa in new.questions() if qa.kind != "cannot know"]
    return Drawn([new.image(SIZE)], _scene_truth(new), random.Random(seed).sample(questions, min(3, len(questions))))


def pair(seed: int, world: str = SCENES) -> Drawn:
    """Two scenes that differ in one or two ways, or two photographs."""
    if world == PHOTOGRAPHS:
        return _photographs(_sampled(seed, 2), ["What changed?"])
    new = scenes.make_pair(seed)
    return _several(new.scenes, new.change_text, "What changed?")


def story(seed: int, world: str = SCENES) -> Drawn:
    """Three scenes in a row, or three photographs."""
    if world == PHOTOGRAPHS:
        return _photographs(_sampled(seed, 3), ["What happens across these images?"])
    new = scenes.make_story(seed)
    return _several(new.scenes, new.text, "What happens across these images?")


def selection(seed: int, world: str = SCENES) -> Drawn:
    """Two to four scenes or photographs and a question about which of them."""
    if world == PHOTOGRAPHS:
        chosen = _sampled(seed, 3)
        wanted = random.Random(seed).choice(chosen).what
        return _photographs(chosen, [f"Which image shows this: {wanted}"])
    new = scenes.make_selection(seed)
    return _several(new.scenes, f"{new.qa.question} {new.qa.answer}", new.qa.question)


def example(number: int, world: str) -> Drawn:
    """The example of this number, from 0."""
    if world == PHOTOGRAPHS:
        return _photographs([samples()[number]], QUESTIONS)
    return scene(EXAMPLES[number])


def opening(world: str) -> Drawn:
    """What the page opens on, so that the first answer is there or one press away."""
    return example(0, world)


def label(name: str, world: str) -> str:
    """What the button of this name is called in a world."""
    return LABELS.get(name, name) if world == PHOTOGRAPHS else name


def examples(world: str, side: int) -> list[Image.Image]:
    """The examples of a world, at most `side` pixels a side."""
    if world == SCENES:
        return [scenes.make_scene(seed).image(side) for seed in EXAMPLES]
    small = [sample.open() for sample in samples()]
    for image in small:
        image.thumbnail((side, side))
    return small


def _sampled(seed: int, count: int) -> list[Sample]:
    return random.Random(seed).sample(samples(), count)


def _photographs(chosen: list[Sample], questions: list[str]) -> Drawn:
    return Drawn([one.path for one in chosen], "", list(questions))


def _several(new: tuple[scenes.Scene, ...], truth: str, question: str) -> Drawn:
    captions = "".join(f"<li>{escape(one.caption('brief'))}</li>" for one in new)
    html = f'<p class="answer">{escape(truth)}</p><ol>{captions}</ol>'
    return Drawn([one.image(SIZE) for one in new], html, [question])


def _scene_truth(new: scenes.Scene) -> str:
    rows = [
        [escape(item.name), '<span class="number">' + ", ".join(f"{value:.2f}" for value in item.bbox) + "</span>"]
        for item in new.objects
    ]
    return f'<p class="answer">{escape(new.caption("brief"))}</p>' + words.table("", ["What", "Box (x, y, w, h)"], rows)
