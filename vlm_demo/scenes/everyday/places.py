"""Everyday questions about where things are: places, sides, the first, the last and the largest."""

import random
from collections import Counter
from collections.abc import Callable

from ..asking import COLORS, MARGIN, QA, position_is_clear
from ..language import at_position, groups, join, plural, position
from ..objects import Layout, SceneObject
from .things import absent_label, sampled
from .vocabulary import COMPASS, FOREIGN, SIDES
from .wording import word

KEYS: dict[str, Callable[[SceneObject], float]] = {
    "leftmost": lambda item: item.center[0],
    "rightmost": lambda item: -item.center[0],
    "highest": lambda item: item.center[1],
    "lowest": lambda item: -item.center[1],
    "biggest": lambda item: -item.area,
    "smallest": lambda item: item.area,
}
MOST = {
    "leftmost": "(leftmost|leftmost|(most|furthest|farthest) left|furthest to the left|on the far left|"
    "all the way to the left|at the far left|more to the left than any other|at the extreme left)",
    "rightmost": "(rightmost|rightmost|(most|furthest|farthest) right|furthest to the right|on the far right|"
    "all the way to the right|at the far right|more to the right than any other|at the extreme right)",
    "highest": "(highest|highest|topmost|uppermost|nearest to the top|at the very top|closest to the top|highest up|"
    "furthest up|all the way up|higher than all the rest|right at the top)",
    "lowest": "(lowest|lowest|bottommost|nearest to the bottom|at the very bottom|closest to the bottom|lowest down|"
    "furthest down|all the way down|lower than all the rest|right at the bottom|undermost)",
    "biggest": "(biggest|biggest|largest|greatest|most big|biggest in size|bigger than all the others|"
    "larger than the rest|drawn the largest|of the greatest size)",
    "smallest": "(smallest|smallest|littlest|tiniest|least big|smallest in size|smaller than all the others|"
    "tinier than the rest|drawn the smallest|of the least size)",
}
BEFORE = {  # forms that may stand before a noun
    "leftmost": "(leftmost|leftmost|furthest left|far left|extreme left|outermost left|left-most)",
    "rightmost": "(rightmost|rightmost|furthest right|far right|extreme right|outermost right|right-most)",
    "highest": "(highest|highest|topmost|uppermost|top-most|highest placed)",
    "lowest": "(lowest|lowest|bottommost|bottom-most|lowermost|lowest placed)",
    "biggest": "(biggest|biggest|largest|largest|greatest|very biggest|most enormous|hugest|bulkiest)",
    "smallest": "(smallest|smallest|tiniest|littlest|very smallest|most tiny|teeniest|least big)",
}
DOES = {  # "Which thing ...?"
    "leftmost": "(sits|is placed|stands) (furthest left|the furthest to the left)",
    "rightmost": "(sits|is placed|stands) (furthest right|the furthest to the right)",
    "highest": "(sits|is placed|stands|is) highest (up|)",
    "lowest": "(sits|is placed|stands|is) lowest (down|)",
    "biggest": "(takes up|covers|fills|occupies|needs) the (most|largest) (area|space|room)",
    "smallest": "(takes up|covers|fills|occupies|needs) the (least|smallest) (area|space|room)",
}


def extreme(items: list[SceneObject], key: str) -> SceneObject | None:
    """The leftmost, biggest ... of some objects, None where that is not clear."""
    if len(items) < 2:
        return None
    first, second = sorted(items, key=KEYS[key])[:2]
    if key in ("biggest", "smallest"):
        return first if max(first.area, second.area) > 1.2 * min(first.area, second.area) else None
    return first if abs(KEYS[key](first) - KEYS[key](second)) > MARGIN else None


def single(scene: Layout) -> list[SceneObject]:
    """The objects whose label stands once."""
    labels = Counter(item.label for item in scene.objects)
    return [item for item in scene.objects if labels[item.label] == 1]


def where(scene: Layout, rng: random.Random) -> list[QA]:
    """Where something is, by its label, its look or its colour; where several are; and what is not there at all."""
    qas = []

    def ask(name: str, one: bool, answer: str, kind: str) -> None:
        is_, it, does = ("is", "it", "does") if one else ("are", "they", "do")
        qas.append(QA(word(rng, "where is it", name=name, is_=is_, it=it, does=does), answer, kind))

    looks = Counter(item.name for item in scene.objects)
    clear = [item for item in single(scene) if position_is_clear(item)]
    for item in sampled(rng, clear):
        ask(item.label, True, at_position(item), "where is it")
    shades = Counter(item.color for item in scene.objects)
    named = [item for item in scene.objects if looks[item.name] == 1 and position_is_clear(item)]
    for item in sampled(rng, named, 1):
        ask(item.name, True, at_position(item), "where is it")
    for item in sampled(rng, [item for item in named if shades[item.color] == 1], 1):
        ask(f"{item.color} (thing|one|object)", True, at_position(item), "where is it")
    labels = Counter(item.label for item in scene.objects)
    for label in sampled(rng, [label for label in labels if labels[label] > 1], 1):
        items = [item for item in scene.objects if item.label == label]
        if all(position_is_clear(item) for item in items):
            places = list(dict.fromkeys(at_position(item) for item in items))
            ask(plural(label), False, join(places), "where are they")
    gone = rng.choice((absent_label(scene, rng), rng.choice(FOREIGN)))
    ask(gone, True, f"There is no {gone}.", "is not there")
    qas += false_premises(scene, rng)
    return qas


def false_premises(scene: Layout, rng: random.Random) -> list[QA]:
    """Questions that take for granted what is not there."""
    gone = rng.choice((absent_label(scene, rng), rng.choice(FOREIGN)))
    here, color = rng.choice(scene.objects), rng.choice(COLORS)
    if rng.random() < 0.7:
        question = word(rng, "absent thing", gone=gone, here=here.label, its=here.color, color=color)
    else:
        question = word(rng, "unknown of a thing", label=gone, color=color)
    qas = [QA(question, f"There is no {gone}.", "is not there")]
    looks = {item.color for item in scene.objects if item.label == here.label}
    name = f"{rng.choice([color for color in COLORS if color not in looks])} {here.label}"
    return [*qas, QA(word(rng, "absent look", name=name), f"There is no {name}.", "no such look")]


def fields(scene: Layout, rng: random.Random) -> list[QA]:
    """What is at some place of the picture, or on one side of it."""
    qas = []
    at = rng.choice((position(rng.choice(scene.objects)), rng.choice(tuple(COMPASS))))
    inside = [item for item in scene.objects if position(item) == at]
    if all(position_is_clear(item) for item in scene.objects):
        place = "in the (middle|centre|center)" if at == "centre" else f"(at|in) the {COMPASS[at]}"
        answer = join(groups(inside)) if inside else "nothing"
        qas.append(QA(word(rng, "what is at", at=place), answer, "what is at"))
        qas.append(QA(word(rng, "is anything at", at=place), "yes" if inside else "no", "is anything at"))
    side = rng.choice(tuple(SIDES))
    axis, first = SIDES[side]
    on = [
        item for item in scene.objects if (item.center[axis] < 1 / 3) == first and abs(item.center[axis] - 0.5) > 1 / 6
    ]
    near = [item for item in scene.objects if (item.center[axis] < 0.5) == first]
    if on == near and all(
        abs(item.center[axis] - edge) > MARGIN / 2 for item in scene.objects for edge in (1 / 3, 2 / 3)
    ):
        place = f"on the {side} (side|)" if axis == 0 else f"at the {side}"
        answer = join(groups(on)) if on else "nothing"
        qas.append(QA(word(rng, "what is on the side", at=place), answer, "what is on the side"))
    return qas


def extremes(scene: Layout, rng: random.Random) -> list[QA]:
    """The leftmost, highest, biggest thing, its colour, and the same among things of one label."""
    qas = []
    names = [item.name for item in scene.objects]
    for key in sampled(rng, list(KEYS), 4):
        item = extreme(scene.objects, key)
        if item is None:
            continue
        before, most = BEFORE[key], MOST[key]
        if rng.random() < 0.25:
            question = word(rng, "which does it most", does=DOES[key])
        else:
            question = word(rng, "which is the most", before=before, most=most)
        qas.append(QA(question, f"the {item.name}", f"which is {key}"))
        qas.append(QA(word(rng, "colour of the most", before=before), item.color, "colour of an extreme"))
        if position_is_clear(item):
            qas.append(QA(word(rng, "where is the most", before=before), at_position(item), "where is an extreme"))
        asked = rng.choice((item, rng.choice(scene.objects)))
        if names.count(asked.name) == 1:
            question = word(rng, "is it the most", name=asked.name, before=before, most=most)
            qas.append(QA(question, "yes" if asked is item else "no", "is it the extreme"))
    labels = Counter(item.label for item in scene.objects)
    for label in [label for label in labels if labels[label] > 1][:1]:
        key = rng.choice(tuple(KEYS))
        same = [other for other in scene.objects if other.label == label]
        item = extreme(same, key)
        if item is not None:
            slots = among(key, label)
            if rng.random() < 1 / 3 and len(same) == len({other.name for other in same}):
                question, answer = word(rng, "which of a label is the most", **slots), f"the {item.name}"
            else:
                question, answer = word(rng, "colour of the most of a label", **slots), item.color
            qas.append(QA(question, answer, "extreme of a label"))
    return qas


def among(key: str, label: str) -> dict[str, str]:
    """Slots for the leftmost, biggest ... among things of one label; `short` stands before the label."""
    short = BEFORE[key].replace("far left", "left").replace("far right", "right")
    return {"short": short, "before": BEFORE[key], "most": MOST[key], "label": label, "labels": plural(label)}
