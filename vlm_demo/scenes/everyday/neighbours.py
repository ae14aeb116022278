"""Everyday questions about how things stand to each other, and what stands beside them."""

import random
import re
from itertools import combinations

from ..asking import MARGIN, QA
from ..language import article, groups, join
from ..objects import Layout, SceneObject
from .places import single
from .things import sampled
from .wording import word

BESIDE = {  # words for a relation: axis, sign
    "(left of|left of|to the left of|to the left of|on the left of|on the left side of|leftward of|at the left of|"
    "to the left-hand side of|off to the left of|over to the left of|somewhere left of|further left than|"
    "more to the left than|farther left than|further to the left than|closer to the left side than)": (0, -1),
    "(right of|right of|to the right of|to the right of|on the right of|on the right side of|rightward of|"
    "at the right of|to the right-hand side of|off to the right of|over to the right of|somewhere right of|"
    "further right than|more to the right than|farther right than|further to the right than|"
    "closer to the right side than)": (0, 1),
    "(above|above|over|up above|somewhere above|on the upper side of|higher than|higher up than|further up than|"
    "placed higher than|farther up than|nearer to the top than|closer to the top than|more towards the top than)": (
        1,
        -1,
    ),
    "(below|below|under|beneath|underneath|down below|somewhere below|lower than|further down than|lower down than|"
    "placed lower than|farther down than|nearer to the bottom than|closer to the bottom than)": (1, 1),
}
NEAR = (
    "(next to|beside|near|close to|closest to|nearest to|nearest|by|right by|right next to|alongside|right beside|"
    "adjacent to|at the side of|in the vicinity of|least far from|the closest to|the nearest to|immediately next to)"
)
FARTHER = {
    "((further|farther|more) (left|to the left|over to the left|towards the left)|closer to the left side)": (0, -1),
    "((further|farther|more) (right|to the right|over to the right|towards the right)|closer to the right side)": (
        0,
        1,
    ),
    "(higher|higher up|nearer to the top|closer to the top|further up|farther up|more towards the top)": (1, -1),
    "(lower|further down|nearer to the bottom|closer to the bottom|lower down|farther down|more towards the bottom)": (
        1,
        1,
    ),
}


def relations(scene: Layout, rng: random.Random) -> list[QA]:
    """How two things stand to each other, and what stands beside one."""
    qas = []
    alone = single(scene)
    pairs = list(combinations(alone, 2))
    for one, other in sampled(rng, pairs, 3):
        a, b = rng.sample((one, other), 2)
        both = {"a": a.label, "b": b.label}
        for relation, (axis, sign) in sampled(rng, list(BESIDE.items()), 2):
            gap = (a.center[axis] - b.center[axis]) * sign
            if abs(gap) >= MARGIN:
                question = word(rng, "is it beside", relation=relation, **both)
                qas.append(QA(question, "yes" if gap > 0 else "no", "is it beside"))
        for more, (axis, sign) in sampled(rng, list(FARTHER.items()), 1):
            gap = (a.center[axis] - b.center[axis]) * sign
            if abs(gap) >= MARGIN:
                question = word(rng, "which is farther", more=more, **both)
                qas.append(QA(question, f"the {(a if gap > 0 else b).label}", "which is farther"))
        big, small = (a, b) if a.area > b.area else (b, a)
        if big.area > 1.3 * small.area:
            larger = rng.random() < 0.6
            more = (
                "(bigger|bigger|larger|larger|greater|huger|more massive|more enormous)"
                if larger
                else "(smaller|smaller|littler|tinier|less big|less large|more tiny|more little)"
            )
            question = word(rng, "which is bigger", more=more, **both)
            qas.append(QA(question, f"the {(big if larger else small).label}", "which is bigger or smaller"))
            question = word(rng, "is it bigger", more=more, **both)
            qas.append(QA(question, "yes" if (a is big) == larger else "no", "is it bigger or smaller"))
        qas.append(QA(word(rng, "same colour as", **both), "yes" if a.color == b.color else "no", "same colour"))
    for item in sampled(rng, alone, 2):
        for relation, (axis, sign) in sampled(rng, list(BESIDE.items()), 1):
            gaps = {
                other: (other.center[axis] - item.center[axis]) * sign for other in scene.objects if other is not item
            }
            if all(abs(gap) > MARGIN for gap in gaps.values()):
                beside = [other for other in scene.objects if gaps.get(other, -1) > 0]
                place = re.sub(r"\|[a-z ]+ than", "", relation)
                answer = join(groups(beside)) if beside else "nothing"
                qas.append(QA(word(rng, "what is beside", place=place, name=item.label), answer, "what is beside"))
                question = word(rng, "is anything beside", place=place, name=item.label)
                qas.append(QA(question, "yes" if beside else "no", "is anything beside"))
        closest = nearest(scene, item)
        if closest is not None:
            question = word(rng, "what is nearest", near=NEAR, name=item.label)
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
