"""All the questions in plain words that a scene allows, with their true answers."""

import random
from collections import Counter
from itertools import combinations

from .asking import (
    COLORS,
    QA,
    absent,
    ask_color,
    ask_count,
    ask_exists,
    ask_place,
    ask_unknown,
    plainly,
    position_is_clear,
)
from .language import PLACES, plural
from .objects import Layout
from .relations import relation_questions, superlative_questions


def questions(scene: Layout, seed: int | None = None) -> list[QA]:
    """True questions of every kind that the scene allows; `seed` varies wording and choice."""
    rng = random.Random(f"questions {scene.seed if seed is None else seed}")
    objects = scene.objects
    labels = Counter(item.label for item in objects)
    single = [item for item in objects if labels[item.label] == 1]
    qas: list[QA] = []
    for label in labels:
        qas.append(ask_count(scene, label, rng))
    qas.append(ask_count(scene, absent(scene, rng), rng))
    for label in labels:
        looks = {item.color for item in objects if item.label == label}
        item = next(item for item in objects if item.label == label)
        if len(looks) == 1:
            qas.append(ask_color(scene, item, rng))
        wrong = rng.choice([color for color in COLORS if color not in looks])
        qas.append(ask_exists(scene, label, None, rng))
        qas.append(ask_exists(scene, label, rng.choice((item.color, wrong)), rng))
    gone = absent(scene, rng)
    qas.append(ask_exists(scene, gone, rng.choice((None, objects[0].color)), rng))
    qas.append(ask_exists(scene, absent(scene, rng), None, rng))
    absent_question = ask_color(scene, objects[0], rng).question.replace(objects[0].label, gone)
    if rng.random() < 0.3:
        absent_question = ask_place(scene, objects[0], rng).question.replace(objects[0].label, gone)
    qas.append(QA(absent_question, f"There is no {gone}.", "is not there"))
    for a, b in combinations(rng.sample(single, min(len(single), 3)), 2):
        qas += relation_questions(*rng.sample((a, b), 2), rng)
    if len(objects) > 1:
        qas += superlative_questions(scene, rng)
    qas += [ask_place(scene, item, rng) for item in single if position_is_clear(item)]
    where = plainly(
        rng, "Where is this?", "Where was this taken?", "What is the setting?", "Where are we?", "What place is this?"
    )
    qas.append(QA(where, PLACES[scene.setting], "where is this"))
    claimed = scene.setting if rng.random() < 0.5 else rng.choice(tuple(PLACES))
    claim = plainly(rng, f"Is this {PLACES[claimed]}?", f"Was this taken {PLACES[claimed]}?")
    qas.append(QA(claim, "yes" if claimed == scene.setting else "no", "is this where"))
    color = rng.choice((rng.choice(objects).color, rng.choice(COLORS)))
    n = sum(item.color == color for item in objects)
    asked = plainly(
        rng,
        f"How many {color} things are there?",
        f"How many {color} objects are there?",
        f"How many things are {color}?",
        f"Count the {color} objects.",
    )
    qas.append(QA(asked, str(n), "how many of a colour"))
    total = plainly(
        rng, "How many objects are there?", "How many things are there?", "Count the objects.", "How many objects?"
    )
    qas.append(QA(total, str(len(objects)), "how many in all"))
    colored = rng.choice(objects)
    same = [item for item in objects if item.color == colored.color]
    if len({item.label for item in same}) == 1:
        wording = plainly(
            rng,
            f"What is {colored.color}?",
            f"Which object is {colored.color}?",
            f"What {colored.color} object is there?",
        )
        many = f"the {colored.label}" if len(same) == 1 else f"the {plural(colored.label)}"
        qas.append(QA(wording, many, "what has this colour"))
    qas.append(ask_unknown(rng.choice(objects), rng))
    return qas
