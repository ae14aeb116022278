"""Everyday questions about where things are: places, sides, the first, the last and the largest."""

import random
from collections import Counter
from collections.abc import Callable

from ..asking import COLORS, MARGIN, QA, position_is_clear
from ..grammar import say
from ..language import at_position, groups, join, plural, position
from ..objects import Layout, SceneObject
from .things import IN_IT, absent_label, sampled
from .vocabulary import COMPASS, FOREIGN, PICTURE, SIDES

KEYS: dict[str, Callable[[SceneObject], float]] = {
    "leftmost": lambda item: item.center[0],
    "rightmost": lambda item: -item.center[0],
    "highest": lambda item: item.center[1],
    "lowest": lambda item: -item.center[1],
    "biggest": lambda item: -item.area,
    "smallest": lambda item: item.area,
}
MOST = {
    "leftmost": "(leftmost|(most|furthest|farthest) left|furthest to the left|on the far left)",
    "rightmost": "(rightmost|(most|furthest|farthest) right|furthest to the right|on the far right)",
    "highest": "(highest|topmost|uppermost|nearest to the top|at the very top|closest to the top)",
    "lowest": "(lowest|bottommost|nearest to the bottom|at the very bottom|closest to the bottom)",
    "biggest": "(biggest|largest|greatest|most big)",
    "smallest": "(smallest|littlest|tiniest|least big)",
}
BEFORE = {  # forms that may stand before a noun
    "leftmost": "(leftmost|furthest left|far left)",
    "rightmost": "(rightmost|furthest right|far right)",
    "highest": "(highest|topmost|uppermost)",
    "lowest": "(lowest|bottommost)",
    "biggest": "(biggest|largest)",
    "smallest": "(smallest|tiniest|littlest)",
}


def extreme(items: list[SceneObject], word: str) -> SceneObject | None:
    """The leftmost, biggest ... of some objects, None where that is not clear."""
    if len(items) < 2:
        return None
    first, second = sorted(items, key=KEYS[word])[:2]
    if word in ("biggest", "smallest"):
        return first if max(first.area, second.area) > 1.2 * min(first.area, second.area) else None
    return first if abs(KEYS[word](first) - KEYS[word](second)) > MARGIN else None


def single(scene: Layout) -> list[SceneObject]:
    """The objects whose label stands once."""
    labels = Counter(item.label for item in scene.objects)
    return [item for item in scene.objects if labels[item.label] == 1]


def where(scene: Layout, rng: random.Random) -> list[QA]:
    """Where something is, by its label, its look or its colour; where several are; and what is not there at all."""
    qas = []

    def ask(name: str, one: bool, answer: str, kind: str) -> None:
        is_, it = ("is", "it") if one else ("are", "they")
        question = say(
            rng,
            f"Where {is_} the {name} {IN_IT}?",
            f"Where (about|exactly|in the {PICTURE}|on the {PICTURE}|abouts) {is_} the {name}?",
            f"(Where can I find|Where do you see|Where should I look for|Can you tell me where to find) the {name}?",
            f"(In|On) (what|which) (part|corner|area|side|region) of the {PICTURE} {is_} the {name}?",
            f"(What is|Tell me|Give me) the (position|location|place) of the {name}.",
            f"(Tell me|Show me|Do you know|Can you tell me|I want to know) where the {name} {is_}.",
            f"(Locate|Find) the {name}.",
            f"The {name}, where {is_} {it}?",
        )
        qas.append(QA(question, answer, kind))

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
    here = rng.choice(scene.objects)
    question = say(
        rng,
        f"(What|Which) colour (is|has) the {gone} {IN_IT}?",
        f"What is the colour of the {gone}?",
        f"What is the {gone} (doing|wearing|holding|looking at) {IN_IT}?",
        f"Why is the {gone} (so big|so small|there|{here.color}|here)?",
        f"How (big|large|tall|old) is the {gone}?",
        f"What is (next to|above|below|left of|right of|under|near) the {gone}?",
        f"Is the {gone} (left of|above|below|to the right of|bigger than|smaller than) the {here.label}?",
        f"(What|Which) is (bigger|higher|larger|smaller), the {gone} or the {here.label}?",
        f"Is the {gone} {rng.choice(COLORS)}?",
        f"Who owns the {gone}?",
    )
    qas = [QA(question, f"There is no {gone}.", "is not there")]
    looks = {item.color for item in scene.objects if item.label == here.label}
    color = rng.choice([color for color in COLORS if color not in looks])
    question = say(
        rng,
        f"Where is the {color} {here.label} {IN_IT}?",
        f"What is (next to|above|below|left of|right of) the {color} {here.label}?",
        f"How big is the {color} {here.label}?",
        f"Why is the {color} {here.label} there?",
    )
    return [*qas, QA(question, f"There is no {color} {here.label}.", "no such look")]


def fields(scene: Layout, rng: random.Random) -> list[QA]:
    """What is at some place of the picture, or on one side of it."""
    qas = []
    at = rng.choice((position(rng.choice(scene.objects)), rng.choice(tuple(COMPASS))))
    inside = [item for item in scene.objects if position(item) == at]
    if all(position_is_clear(item) for item in scene.objects):
        words = "in the (middle|centre|center)" if at == "centre" else f"(at|in) the {COMPASS[at]}"
        question = say(
            rng,
            f"What (is|do you see|can you see|is there|is shown) {words} (of the {PICTURE}|)?",
            f"(What|Which) (thing|object|icon) is {words} (of the {PICTURE}|)?",
            f"(Is there (anything|something)|Anything) {words}, and what?",
        )
        qas.append(QA(question, join(groups(inside)) if inside else "nothing", "what is at"))
        question = say(rng, f"(Is there|Do you see) (anything|something|an object) {words} (of the {PICTURE}|)?")
        qas.append(QA(question, "yes" if inside else "no", "is anything at"))
    side = rng.choice(tuple(SIDES))
    axis, first = SIDES[side]
    on = [
        item for item in scene.objects if (item.center[axis] < 1 / 3) == first and abs(item.center[axis] - 0.5) > 1 / 6
    ]
    near = [item for item in scene.objects if (item.center[axis] < 0.5) == first]
    if on == near and all(
        abs(item.center[axis] - edge) > MARGIN / 2 for item in scene.objects for edge in (1 / 3, 2 / 3)
    ):
        words = f"on the {side} (side|)" if axis == 0 else f"at the {side}"
        question = say(
            rng,
            f"What (is|do you see|can you see|is there) {words} (of the {PICTURE}|)?",
            f"(What|Which) (things|objects) (are|do you see) {words} (of the {PICTURE}|)?",
        )
        qas.append(QA(question, join(groups(on)) if on else "nothing", "what is on the side"))
    return qas


def extremes(scene: Layout, rng: random.Random) -> list[QA]:
    """The leftmost, highest, biggest thing, its colour, and the same among things of one label."""
    qas = []
    for word in sampled(rng, list(KEYS), 4):
        item = extreme(scene.objects, word)
        if item is None:
            continue
        question = say(
            rng,
            "(What|Which|Which one|Which object|Which thing|What object|Which of them|Which icon) is (the|) "
            f"{MOST[word]} {IN_IT}?",
            f"(What is|Name|Tell me|Show me) the {BEFORE[word]} (object|thing|one|item|icon) {IN_IT}.",
            f"(What|Which) (thing|object|icon) is the {BEFORE[word]} (one|)?",
            f"The {BEFORE[word]} (object|thing), what is it?",
        )
        qas.append(QA(question, f"the {item.name}", f"which is {word}"))
        question = say(
            rng,
            f"(What|Which) colour (is|has) the {BEFORE[word]} (object|thing|one|icon)?",
            f"What is the colour of the {BEFORE[word]} (object|thing|icon) {IN_IT}?",
        )
        qas.append(QA(question, item.color, "colour of an extreme"))
        if position_is_clear(item):
            question = say(rng, f"Where is the {BEFORE[word]} (object|thing|one|icon) {IN_IT}?")
            qas.append(QA(question, at_position(item), "where is an extreme"))
        asked = rng.choice((item, rng.choice(scene.objects)))
        names = [other.name for other in scene.objects]
        if names.count(asked.name) == 1:
            question = say(rng, f"Is the {asked.name} the {BEFORE[word]} (object|thing|one|of all)?")
            qas.append(QA(question, "yes" if asked is item else "no", "is it the extreme"))
    labels = Counter(item.label for item in scene.objects)
    for label in [label for label in labels if labels[label] > 1][:1]:
        word = rng.choice(tuple(KEYS))
        item = extreme([other for other in scene.objects if other.label == label], word)
        if item is not None:
            short = BEFORE[word].replace("far left", "left").replace("far right", "right")
            question = say(
                rng,
                f"(What|Which) colour (is|has) the {short} {label}?",
                f"(What|Which) colour is the {BEFORE[word]} of the {plural(label)}?",
                f"Which {label} is (the|) {MOST[word]}?"
                if labels[label] == len({i.name for i in scene.objects if i.label == label})
                else f"What colour is the {short} {label}?",
            )
            answer = f"the {item.name}" if question.startswith("Which") and "colour" not in question else item.color
            qas.append(QA(question, answer, "extreme of a label"))
    return qas
