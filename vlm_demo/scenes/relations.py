"""How things in a scene stand to each other, and which is the leftmost, the highest, the biggest."""

import random

from .asking import MARGIN, QA, plainly
from .objects import Layout, SceneObject

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


def relation_questions(a: SceneObject, b: SceneObject, rng: random.Random) -> list[QA]:
    """Questions about two things, where the answer is clear."""
    qas = []
    for words, (axis, sign, comparative) in RELATIONS.items():
        gap = (a.center[axis] - b.center[axis]) * sign
        if abs(gap) < MARGIN:
            continue
        holds = "yes" if gap > 0 else "no"
        prefix = "to the " if axis == 0 and rng.random() < 0.4 else ""
        qas.append(QA(plainly(rng, f"Is the {a.label} {prefix}{words} the {b.label}?"), holds, f"is it {words}"))
        winner = a if gap > 0 else b
        question = plainly(
            rng,
            f"Which is {comparative}, the {a.label} or the {b.label}?",
            f"What is {comparative}: the {a.label} or the {b.label}?",
        )
        qas.append(QA(question, f"the {winner.label}", f"which is {words}"))
    big, small = (a, b) if a.area > b.area else (b, a)
    if big.area > 1.3 * small.area:
        pair = f"the {a.label} or the {b.label}?"
        qas.append(
            QA(
                plainly(rng, f"Which is bigger, {pair}", f"Which is larger, {pair}"),
                f"the {big.label}",
                "which is bigger",
            )
        )
        qas.append(QA(plainly(rng, f"Which is smaller, {pair}"), f"the {small.label}", "which is smaller"))
        larger = rng.random() < 0.5
        word, holds = ("bigger", a is big) if larger else ("smaller", a is small)
        question = plainly(rng, f"Is the {a.label} {word} than the {b.label}?")
        qas.append(QA(question, "yes" if holds else "no", f"is it {word}"))
    return qas


def superlative_questions(scene: Layout, rng: random.Random) -> list[QA]:
    """Questions after the first, the last and the largest of all things, where the answer is clear."""
    keys = {
        "leftmost": lambda item: item.center[0],
        "rightmost": lambda item: -item.center[0],
        "highest": lambda item: item.center[1],
        "lowest": lambda item: -item.center[1],
        "biggest": lambda item: -item.area,
        "smallest": lambda item: item.area,
    }
    qas = []
    for word, key in keys.items():
        first, second = sorted(scene.objects, key=key)[:2]
        clear = (
            max(first.area, second.area) > 1.2 * min(first.area, second.area)
            if word in ("biggest", "smallest")
            else abs(key(first) - key(second)) > MARGIN
        )
        if clear:
            qas.append(QA(plainly(rng, *SUPERLATIVES[word]), f"the {first.name}", f"which is {word}"))
    return qas
