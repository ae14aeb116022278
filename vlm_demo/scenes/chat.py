"""Conversations about a scene, whose later questions lean on the earlier ones."""

import random
from collections import Counter

from .asking import COLORS, MARGIN, QA, absent, ask_color, ask_count, ask_exists, ask_place, plainly, position_is_clear
from .language import article, at_position, join
from .objects import Layout, SceneObject
from .relations import RELATIONS


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
            gone = absent(scene, rng)
            return [first, QA(plainly(rng, f"And {article(gone)}?", f"What about {article(gone)}?"), "no", "is there")]
        if first.kind == "colour" and rest:
            other = rng.choice(rest)
            question = plainly(rng, f"And the {other.label}?", f"What about the {other.label}?")
            return [first, QA(question, other.color, "colour")]
    follow = _about_it(scene, item, rest, rng) if labels[item.label] == 1 else _about_them(scene, item, rng)
    follow = [qa for qa in follow if qa.kind != first.kind]
    rng.shuffle(follow)
    turns = [first, *follow[: rng.randint(1, 2)]]
    if rest and rng.random() < 0.4:  # a change of subject comes last: `it` still meant the first thing
        turns.append(ask_color(scene, rng.choice(rest), rng))
    return turns


def _about_it(scene: Layout, item: SceneObject, rest: list[SceneObject], rng: random.Random) -> list[QA]:
    color = plainly(rng, "What colour is it?", "And what colour is it?", "And its colour?", "Which colour?")
    follow = [QA(color, item.color, "colour")]
    if position_is_clear(item):
        place = plainly(rng, "Where is it?", "And where is it?", "Where in the picture?", "And where?")
        follow.append(QA(place, at_position(item), "where is it"))
    for other in rest[:1]:
        for words, (axis, sign, _) in RELATIONS.items():
            gap = (item.center[axis] - other.center[axis]) * sign
            if abs(gap) > MARGIN:
                question = plainly(rng, f"Is it {words} the {other.label}?", f"And is it {words} the {other.label}?")
                follow.append(QA(question, "yes" if gap > 0 else "no", f"is it {words}"))
    return follow


def _about_them(scene: Layout, item: SceneObject, rng: random.Random) -> list[QA]:
    looks = [other.color for other in scene.objects if other.label == item.label]
    color = rng.choice((item.color, rng.choice(COLORS)))
    question = plainly(
        rng,
        f"And is there {article(f'{color} one')}?",
        f"Is one of them {color}?",
        f"Is there {article(f'{color} one')}?",
    )
    follow = [QA(question, "yes" if color in looks else "no", "is one of them")]
    asked = plainly(rng, "What colour are they?", "And what colour are they?", "Which colours?", "And their colours?")
    follow.append(QA(asked, looks[0] if len(set(looks)) == 1 else join(list(dict.fromkeys(looks))), "colours"))
    return follow
