"""Single questions about a scene in plain words, with their true answers."""

import random
from dataclasses import dataclass

from .draw import HSV
from .glyphs import CODEPOINTS
from .language import article, at_position, plural
from .objects import Layout, SceneObject

COLORS, LABELS = tuple(HSV), tuple(CODEPOINTS)
UNKNOWN = "I can't tell from the picture."
MARGIN = 0.05  # how clear a relation must be before it is asked about, as a share of the picture's side


@dataclass(frozen=True)
class QA:
    """A question and its answer; `kind` groups questions when they are scored."""

    question: str
    answer: str
    kind: str


def position_is_clear(item: SceneObject) -> bool:
    """Whether an object lies well within one of the nine fields."""
    return all(abs(v - edge) > MARGIN / 2 for v in item.center for edge in (1 / 3, 2 / 3))


def plainly(rng: random.Random, *wordings: str) -> str:
    """One of the wordings, now and then in the other spelling or in small letters."""
    text = rng.choice(wordings)
    if rng.random() < 0.15:
        text = text.replace("colour", "color")
    if rng.random() < 0.12:
        text = text[0].lower() + text[1:].rstrip("?.")
    return text


def absent(scene: Layout, rng: random.Random) -> str:
    """A label that is not there."""
    present = {item.label for item in scene.objects}
    return rng.choice([label for label in LABELS if label not in present])


def ask_count(scene: Layout, label: str, rng: random.Random) -> QA:
    """How many of a label."""
    n, many = sum(item.label == label for item in scene.objects), plural(label)
    question = plainly(
        rng,
        f"How many {many} are there?",
        f"How many {many}?",
        f"How many {many} do you see?",
        f"Count the {many}.",
        f"What is the number of {many}?",
        f"How many {many} are in the picture?",
    )
    return QA(question, str(n), "how many")


def ask_color(scene: Layout, item: SceneObject, rng: random.Random) -> QA:
    """The colour of a label that stands once, or many times in one colour."""
    label = item.label
    question = plainly(
        rng,
        f"What colour is the {label}?",
        f"What is the colour of the {label}?",
        f"Which colour is the {label}?",
        f"What colour does the {label} have?",
        f"Colour of the {label}?",
    )
    return QA(question, item.color, "colour")


def ask_exists(scene: Layout, label: str, color: str | None, rng: random.Random) -> QA:
    """Whether something is there, by label or by colour and label."""
    thing = article(f"{color} {label}" if color else label)
    there = any(item.label == label and color in (None, item.color) for item in scene.objects)
    question = plainly(
        rng,
        f"Is there {thing}?",
        f"Can you see {thing}?",
        f"Do you see {thing}?",
        f"Is there {thing} in the picture?",
        f"Does the picture show {thing}?",
    )
    return QA(question, "yes" if there else "no", "is there")


def ask_place(scene: Layout, item: SceneObject, rng: random.Random, name: str | None = None) -> QA:
    """In which of nine fields something lies."""
    name = name or item.label
    question = plainly(
        rng, f"Where is the {name}?", f"Where in the picture is the {name}?", f"Where can I find the {name}?"
    )
    return QA(question, at_position(item), "where is it")


def ask_unknown(item: SceneObject, rng: random.Random) -> QA:
    """Something that no picture tells."""
    label = item.label
    question = plainly(
        rng,
        f"What is the {label}'s name?",
        f"How old is the {label}?",
        f"Who owns the {label}?",
        f"How much does the {label} cost?",
        f"Who made the {label}?",
        "Who took this picture?",
        "When was this picture taken?",
        "What happens next?",
        f"Why is the {label} here?",
        f"What is the {label} thinking?",
        f"Is the {label} happy?",
        f"What brand is the {label}?",
        "What is the weather like tomorrow?",
        "What time is it?",
        "Which country is this?",
        "What is the name of this place?",
        "What is the price?",
        "Who are you?",
        "What is the meaning of life?",
    )
    return QA(question, UNKNOWN, "cannot know")
