"""Questions about scenes with their true answers, alone and in conversations."""

import random
from collections import Counter
from dataclasses import dataclass
from itertools import combinations

from .draw import HSV
from .glyphs import CODEPOINTS
from .language import PLACES, article, at_position, join, plural
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


def _position_is_clear(item: SceneObject) -> bool:
    return all(abs(v - edge) > MARGIN / 2 for v in item.center for edge in (1 / 3, 2 / 3))


def _say(rng: random.Random, *wordings: str) -> str:
    text = rng.choice(wordings)
    if rng.random() < 0.15:
        text = text.replace("colour", "color")
    if rng.random() < 0.12:
        text = text[0].lower() + text[1:].rstrip("?.")
    return text


def _absent(scene: Layout, rng: random.Random) -> str:
    present = {item.label for item in scene.objects}
    return rng.choice([label for label in LABELS if label not in present])


def ask_count(scene: Layout, label: str, rng: random.Random) -> QA:
    """How many of a label."""
    n, many = sum(item.label == label for item in scene.objects), plural(label)
    question = _say(
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
    question = _say(
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
    question = _say(
        rng,
        f"Is there {thing}?",
        f"Can you see {thing}?",
        f"Do you see {thing}?",
        f"Is there {thing} in the picture?",
        f"Does the picture show {thing}?",
    )
    return QA(question, "yes" if there else "no", "is there")


RELATIONS = {
    "left of": (0, -1, "further left"),
    "right of": (0, 1, "further right"),
    "above": (1, -1, "higher"),
    "below": (1, 1, "lower"),
}
SUPERLATIVES = {
    "leftmost": ("What is the leftmost object?", "What is furthest left?", "Which object is on the far left?"),
    "rightmost": ("What is the rightmost object?", "What is furthest right?", "Which object is on the far right?"),
    "highest": ("What is the highest object?", "What is at the very top?", "Which object is highest?"),
    "lowest": ("What is the lowest object?", "What is at the very bottom?", "Which object is lowest?"),
    "biggest": ("What is the biggest object?", "Which object is the largest?", "What is the biggest thing?"),
    "smallest": ("What is the smallest object?", "Which object is the smallest?", "What is the smallest thing?"),
}


def _relation_questions(a: SceneObject, b: SceneObject, rng: random.Random) -> list[QA]:
    found = []
    for words, (axis, sign, comparative) in RELATIONS.items():
        gap = (a.center[axis] - b.center[axis]) * sign
        if abs(gap) < MARGIN:
            continue
        holds = "yes" if gap > 0 else "no"
        prefix = "to the " if axis == 0 and rng.random() < 0.4 else ""
        found.append(QA(_say(rng, f"Is the {a.label} {prefix}{words} the {b.label}?"), holds, f"is it {words}"))
        winner = a if gap > 0 else b
        question = _say(
            rng,
            f"Which is {comparative}, the {a.label} or the {b.label}?",
            f"What is {comparative}: the {a.label} or the {b.label}?",
        )
        found.append(QA(question, f"the {winner.label}", f"which is {words}"))
    big, small = (a, b) if a.area > b.area else (b, a)
    if big.area > 1.3 * small.area:
        pair = f"the {a.label} or the {b.label}?"
        found.append(
            QA(_say(rng, f"Which is bigger, {pair}", f"Which is larger, {pair}"), f"the {big.label}", "which is bigger")
        )
        found.append(QA(_say(rng, f"Which is smaller, {pair}"), f"the {small.label}", "which is smaller"))
        larger = rng.random() < 0.5
        word, holds = ("bigger", a is big) if larger else ("smaller", a is small)
        question = _say(rng, f"Is the {a.label} {word} than the {b.label}?")
        found.append(QA(question, "yes" if holds else "no", f"is it {word}"))
    return found


def _superlative_questions(scene: Layout, rng: random.Random) -> list[QA]:
    keys = {
        "leftmost": lambda item: item.center[0],
        "rightmost": lambda item: -item.center[0],
        "highest": lambda item: item.center[1],
        "lowest": lambda item: -item.center[1],
        "biggest": lambda item: -item.area,
        "smallest": lambda item: item.area,
    }
    found = []
    for word, key in keys.items():
        first, second = sorted(scene.objects, key=key)[:2]
        clear = (
            max(first.area, second.area) > 1.2 * min(first.area, second.area)
            if word in ("biggest", "smallest")
            else abs(key(first) - key(second)) > MARGIN
        )
        if clear:
            found.append(QA(_say(rng, *SUPERLATIVES[word]), f"the {first.name}", f"which is {word}"))
    return found


def ask_place(scene: Layout, item: SceneObject, rng: random.Random, name: str | None = None) -> QA:
    """In which of nine fields something lies."""
    name = name or item.label
    question = _say(
        rng, f"Where is the {name}?", f"Where in the picture is the {name}?", f"Where can I find the {name}?"
    )
    return QA(question, at_position(item), "where is it")


def _unknown(item: SceneObject, rng: random.Random) -> QA:
    label = item.label
    question = _say(
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


def questions(scene: Layout, seed: int | None = None) -> list[QA]:
    """True questions of every kind that the scene allows; `seed` varies wording and choice."""
    rng = random.Random(f"questions {scene.seed if seed is None else seed}")
    objects = scene.objects
    labels = Counter(item.label for item in objects)
    single = [item for item in objects if labels[item.label] == 1]
    found: list[QA] = []
    for label in labels:
        found.append(ask_count(scene, label, rng))
    found.append(ask_count(scene, _absent(scene, rng), rng))
    for label in labels:
        looks = {item.color for item in objects if item.label == label}
        item = next(item for item in objects if item.label == label)
        if len(looks) == 1:
            found.append(ask_color(scene, item, rng))
        wrong = rng.choice([color for color in COLORS if color not in looks])
        found.append(ask_exists(scene, label, None, rng))
        found.append(ask_exists(scene, label, rng.choice((item.color, wrong)), rng))
    gone = _absent(scene, rng)
    found.append(ask_exists(scene, gone, rng.choice((None, objects[0].color)), rng))
    found.append(ask_exists(scene, _absent(scene, rng), None, rng))
    absent_question = ask_color(scene, objects[0], rng).question.replace(objects[0].label, gone)
    if rng.random() < 0.3:
        absent_question = ask_place(scene, objects[0], rng).question.replace(objects[0].label, gone)
    found.append(QA(absent_question, f"There is no {gone}.", "is not there"))
    for a, b in combinations(rng.sample(single, min(len(single), 3)), 2):
        found += _relation_questions(*rng.sample((a, b), 2), rng)
    if len(objects) > 1:
        found += _superlative_questions(scene, rng)
    found += [ask_place(scene, item, rng) for item in single if _position_is_clear(item)]
    where = _say(
        rng, "Where is this?", "Where was this taken?", "What is the setting?", "Where are we?", "What place is this?"
    )
    found.append(QA(where, PLACES[scene.setting], "where is this"))
    claimed = scene.setting if rng.random() < 0.5 else rng.choice(tuple(PLACES))
    claim = _say(rng, f"Is this {PLACES[claimed]}?", f"Was this taken {PLACES[claimed]}?")
    found.append(QA(claim, "yes" if claimed == scene.setting else "no", "is this where"))
    color = rng.choice((rng.choice(objects).color, rng.choice(COLORS)))
    n = sum(item.color == color for item in objects)
    asked = _say(
        rng,
        f"How many {color} things are there?",
        f"How many {color} objects are there?",
        f"How many things are {color}?",
        f"Count the {color} objects.",
    )
    found.append(QA(asked, str(n), "how many of a colour"))
    total = _say(
        rng, "How many objects are there?", "How many things are there?", "Count the objects.", "How many objects?"
    )
    found.append(QA(total, str(len(objects)), "how many in all"))
    colored = rng.choice(objects)
    same = [item for item in objects if item.color == colored.color]
    if len({item.label for item in same}) == 1:
        wording = _say(
            rng,
            f"What is {colored.color}?",
            f"Which object is {colored.color}?",
            f"What {colored.color} object is there?",
        )
        many = f"the {colored.label}" if len(same) == 1 else f"the {plural(colored.label)}"
        found.append(QA(wording, many, "what has this colour"))
    found.append(_unknown(rng.choice(objects), rng))
    return found


def chat(scene: Layout, seed: int) -> list[QA]:
    """Two to four turns about one thing; the later ones say `it` and `they`."""
    rng = random.Random(f"chat {seed}")
    labels = Counter(item.label for item in scene.objects)
    item = rng.choice(scene.objects)
    rest = [other for other in scene.objects if other.label != item.label and labels[other.label] == 1]
    openings = [ask_count(scene, item.label, rng), ask_exists(scene, item.label, None, rng)]
    if labels[item.label] == 1:
        openings += [ask_color(scene, item, rng), ask_place(scene, item, rng)]
    first = rng.choice(openings)
    if rng.random() < 0.25:  # an ellipsis leans on the wording before it
        if first.kind == "is there":
            gone = _absent(scene, rng)
            return [first, QA(_say(rng, f"And {article(gone)}?", f"What about {article(gone)}?"), "no", "is there")]
        if first.kind == "colour" and rest:
            other = rng.choice(rest)
            question = _say(rng, f"And the {other.label}?", f"What about the {other.label}?")
            return [first, QA(question, other.color, "colour")]
    follow = _about_it(scene, item, rest, rng) if labels[item.label] == 1 else _about_them(scene, item, rng)
    follow = [qa for qa in follow if qa.kind != first.kind]
    rng.shuffle(follow)
    turns = [first, *follow[: rng.randint(1, 2)]]
    if rest and rng.random() < 0.4:  # a change of subject comes last: `it` still meant the first thing
        turns.append(ask_color(scene, rng.choice(rest), rng))
    return turns


def _about_it(scene: Layout, item: SceneObject, rest: list[SceneObject], rng: random.Random) -> list[QA]:
    color = _say(rng, "What colour is it?", "And what colour is it?", "And its colour?", "Which colour?")
    follow = [QA(color, item.color, "colour")]
    if _position_is_clear(item):
        place = _say(rng, "Where is it?", "And where is it?", "Where in the picture?", "And where?")
        follow.append(QA(place, at_position(item), "where is it"))
    for other in rest[:1]:
        for words, (axis, sign, _) in RELATIONS.items():
            gap = (item.center[axis] - other.center[axis]) * sign
            if abs(gap) > MARGIN:
                question = _say(rng, f"Is it {words} the {other.label}?", f"And is it {words} the {other.label}?")
                follow.append(QA(question, "yes" if gap > 0 else "no", f"is it {words}"))
    return follow


def _about_them(scene: Layout, item: SceneObject, rng: random.Random) -> list[QA]:
    looks = [other.color for other in scene.objects if other.label == item.label]
    color = rng.choice((item.color, rng.choice(COLORS)))
    question = _say(
        rng,
        f"And is there {article(f'{color} one')}?",
        f"Is one of them {color}?",
        f"Is there {article(f'{color} one')}?",
    )
    follow = [QA(question, "yes" if color in looks else "no", "is one of them")]
    asked = _say(rng, "What colour are they?", "And what colour are they?", "Which colours?", "And their colours?")
    follow.append(QA(asked, looks[0] if len(set(looks)) == 1 else join(list(dict.fromkeys(looks))), "colours"))
    return follow
