"""Everyday questions about how things stand to each other, and what stands beside them."""

import random
from itertools import combinations

from ..asking import MARGIN, QA
from ..grammar import say
from ..language import article, groups, join
from ..objects import Layout, SceneObject
from .places import single
from .things import IN_IT, sampled

BESIDE = {  # words for a relation: axis, sign
    "(left of|to the left of|on the left of|further left than|on the left side of)": (0, -1),
    "(right of|to the right of|on the right of|further right than|on the right side of)": (0, 1),
    "(above|over|higher than|higher up than|further up than)": (1, -1),
    "(below|under|beneath|underneath|lower than|further down than)": (1, 1),
}
FARTHER = {
    "(further|farther|more) (left|to the left)": (0, -1),
    "(further|farther|more) (right|to the right)": (0, 1),
    "(higher|higher up|nearer to the top|closer to the top)": (1, -1),
    "(lower|further down|nearer to the bottom|closer to the bottom)": (1, 1),
}


def relations(scene: Layout, rng: random.Random) -> list[QA]:
    """How two things stand to each other, and what stands beside one."""
    qas = []
    alone = single(scene)
    pairs = list(combinations(alone, 2))
    for one, other in sampled(rng, pairs, 3):
        a, b = rng.sample((one, other), 2)
        for words, (axis, sign) in sampled(rng, list(BESIDE.items()), 2):
            gap = (a.center[axis] - b.center[axis]) * sign
            if abs(gap) < MARGIN:
                continue
            question = say(
                rng,
                f"Is the {a.label} {words} the {b.label} {IN_IT}?",
                f"(Does|Do you think) the {a.label} (stand|lie|sit|appear) {words} the {b.label}?",
                f"The {a.label} is {words} the {b.label}, (right|isn't it|correct|true)?",
                f"(Is it true|Would you say|Is it right) that the {a.label} is {words} the {b.label}?",
            )
            qas.append(QA(question, "yes" if gap > 0 else "no", "is it beside"))
        for words, (axis, sign) in sampled(rng, list(FARTHER.items()), 1):
            gap = (a.center[axis] - b.center[axis]) * sign
            if abs(gap) >= MARGIN:
                winner = a if gap > 0 else b
                question = say(
                    rng,
                    f"(What|Which|Which one|Which of them) is {words}, the {a.label} or the {b.label}?",
                    f"Is the {a.label} or the {b.label} {words}?",
                    f"(What|Which) is {words}: {a.label} or {b.label}?",
                )
                qas.append(QA(question, f"the {winner.label}", "which is farther"))
        big, small = (a, b) if a.area > b.area else (b, a)
        if big.area > 1.3 * small.area:
            larger = rng.random() < 0.6
            word = "(bigger|larger|taller|greater)" if larger else "(smaller|littler|tinier)"
            word = word.replace("|taller", "")
            question = say(
                rng,
                f"(What|Which|Which one|Which of them) is {word}, the {a.label} or the {b.label}?",
                f"Is the {a.label} or the {b.label} {word}?",
                f"Who is {word}, {a.label} or {b.label}?",
            )
            qas.append(QA(question, f"the {(big if larger else small).label}", "which is bigger or smaller"))
            question = say(
                rng,
                f"Is the {a.label} {word} than the {b.label} {IN_IT}?",
                f"Does the {a.label} look {word} than the {b.label}?",
                f"The {a.label} is {word} than the {b.label}, (right|isn't it|true)?",
            )
            qas.append(QA(question, "yes" if (a is big) == larger else "no", "is it bigger or smaller"))
        same = a.color == b.color
        question = say(
            rng,
            f"(Are|Do) the {a.label} and the {b.label} (of|have|) the same colour?",
            f"Is the {a.label} the same colour as the {b.label}?",
            f"(Does|Do) the {a.label} have the same colour as the {b.label}?",
        )
        qas.append(QA(question, "yes" if same else "no", "same colour"))
    for item in sampled(rng, alone, 2):
        for words, (axis, sign) in sampled(rng, list(BESIDE.items()), 1):
            gaps = {
                other: (other.center[axis] - item.center[axis]) * sign for other in scene.objects if other is not item
            }
            if all(abs(gap) > MARGIN for gap in gaps.values()):
                beside = [other for other in scene.objects if gaps.get(other, -1) > 0]
                place = words.replace("|further left than", "").replace("|further right than", "")
                place = place.replace("|higher than|higher up than|further up than", "").replace(
                    "|lower than|further down than", ""
                )
                question = say(
                    rng,
                    f"What (is|stands|do you see|is there|can be seen) {place} the {item.label} {IN_IT}?",
                    f"(What|Which) (thing|things|object|objects) (is|are) {place} the {item.label}?",
                )
                qas.append(QA(question, join(groups(beside)) if beside else "nothing", "what is beside"))
                question = say(rng, f"Is (anything|something|there anything|there something) {place} the {item.label}?")
                qas.append(QA(question, "yes" if beside else "no", "is anything beside"))
        closest = nearest(scene, item)
        if closest is not None:
            question = say(
                rng,
                f"What is (next to|beside|near|close to|closest to|nearest to|by|nearest) the {item.label} {IN_IT}?",
                f"(What|Which) (thing|object|icon) is (next to|closest to|nearest to|nearest) the {item.label}?",
            )
            qas.append(QA(question, article(closest.name), "what is nearest"))
    return qas


def nearest(scene: Layout, item: SceneObject) -> SceneObject | None:
    """What is nearest to an object, None where that is not clear."""
    others = sorted((other for other in scene.objects if other is not item), key=lambda other: _distance(item, other))
    if not others or (len(others) > 1 and _distance(item, others[1]) < 1.25 * _distance(item, others[0])):
        return None
    return others[0]


def _distance(one: SceneObject, other: SceneObject) -> float:
    return sum((a - b) ** 2 for a, b in zip(one.center, other.center, strict=True)) ** 0.5
