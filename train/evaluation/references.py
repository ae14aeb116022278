"""The reference for each kind of everyday wording in `everyday_*.txt`: how its gaps are filled, and the answers
that are right. A reference is None where a scene does not allow the question, or where one may doubt the answer."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vlm_demo.scenes import COLORS, LABELS, Scene, SceneObject
from vlm_demo.scenes.asking import MARGIN, UNKNOWN, position_is_clear
from vlm_demo.scenes.everyday.across import NONE
from vlm_demo.scenes.everyday.neighbours import nearest
from vlm_demo.scenes.everyday.places import extreme, single
from vlm_demo.scenes.everyday.vocabulary import of_category
from vlm_demo.scenes.language import PLACES, article, at_position, groups, join, plural

# Things that no scene shows, and that training never speaks of.
STRANGERS = ("giraffe", "zebra", "laptop", "pizza", "mermaid", "toaster", "kangaroo", "trombone", "policeman", "fridge")
ORDINALS = ("first", "second")
Answers = Sequence[str]
Reference = tuple[dict[str, str | int], Answers] | None
OfOne = Callable[[Scene, random.Random], Reference]


@dataclass(frozen=True)
class OfTwo:
    """A reference about two scenes."""

    function: Callable[[tuple[Scene, ...], random.Random], Reference]


def _label(scene: Scene, rng: random.Random, there: bool) -> str:
    present = {item.label for item in scene.objects}
    return rng.choice([label for label in LABELS if (label in present) == there])


def _yes(holds: bool) -> Answers:
    return ["yes" if holds else "no"]


def _count(scene: Scene, rng: random.Random) -> Reference:
    label = _label(scene, rng, rng.random() < 0.8)
    return {"label": label, "many": plural(label)}, [str(sum(item.label == label for item in scene.objects))]


def _count_color(scene: Scene, rng: random.Random) -> Reference:
    color = rng.choice((rng.choice(scene.objects).color, rng.choice(COLORS)))
    return {"color": color}, [str(sum(item.color == color for item in scene.objects))]


def _color(scene: Scene, rng: random.Random) -> Reference:
    alone = single(scene)
    return ({"label": (item := rng.choice(alone)).label}, [item.color]) if alone else None


def _exists(scene: Scene, rng: random.Random) -> Reference:
    label = _label(scene, rng, rng.random() < 0.5)
    return {"label": label}, _yes(any(item.label == label for item in scene.objects))


def _any_of_color(scene: Scene, rng: random.Random) -> Reference:
    color = rng.choice((rng.choice(scene.objects).color, rng.choice(COLORS)))
    return {"color": color}, _yes(any(item.color == color for item in scene.objects))


def _has_color(scene: Scene, rng: random.Random) -> Reference:
    alone = single(scene)
    if not alone:
        return None
    item = rng.choice(alone)
    color = item.color if rng.random() < 0.5 else rng.choice(COLORS)
    return {"label": item.label, "color": color}, _yes(color == item.color)


def _where(scene: Scene, rng: random.Random) -> Reference:
    clear = [item for item in single(scene) if position_is_clear(item)]
    return ({"label": (item := rng.choice(clear)).label}, [at_position(item)]) if clear else None


def _extreme(word: str) -> OfOne:
    def reference(scene: Scene, _: random.Random) -> Reference:
        item = extreme(scene.objects, word)
        return item and ({}, [f"the {item.name}", f"the {item.label}"])

    return reference


def _two(scene: Scene, rng: random.Random, size: bool = False) -> tuple[SceneObject, SceneObject] | None:
    alone = single(scene)
    if len(alone) < 2:
        return None
    a, b = rng.sample(alone, 2)
    if size and max(a.area, b.area) < 1.3 * min(a.area, b.area):
        return None
    return a, b


def _relation(axis: int) -> OfOne:
    def reference(scene: Scene, rng: random.Random) -> Reference:
        two = _two(scene, rng)
        if two is None or abs(two[0].center[axis] - two[1].center[axis]) < 2 * MARGIN:
            return None
        a, b = two
        return {"a": a.label, "b": b.label}, _yes(a.center[axis] < b.center[axis])

    return reference


def _which_bigger(scene: Scene, rng: random.Random) -> Reference:
    two = _two(scene, rng, size=True)
    if two is None:
        return None
    big = max(two, key=lambda item: item.area)
    return {"a": two[0].label, "b": two[1].label}, [f"the {big.label}", f"the {big.name}"]


def _is_bigger(scene: Scene, rng: random.Random) -> Reference:
    two = _two(scene, rng, size=True)
    return two and ({"a": two[0].label, "b": two[1].label}, _yes(two[0].area > two[1].area))


def _setting(scene: Scene, _: random.Random) -> Reference:
    return {}, [PLACES[scene.setting]]


def _night(scene: Scene, rng: random.Random) -> Reference:
    doubtful = scene.setting == "room" or (scene.setting != "night" and rng.random() < 0.6)
    return None if doubtful else ({}, _yes(scene.setting == "night"))


def _snow(scene: Scene, rng: random.Random) -> Reference:
    return None if scene.setting != "snow" and rng.random() < 0.7 else ({}, _yes(scene.setting == "snow"))


def _described(scene: Scene, _: random.Random) -> Reference:
    things = join(groups(scene.objects))
    return {}, [*(scene.caption("brief", k) for k in range(3)), things, scene.caption("alt"), scene.caption("detailed")]


def _colors(scene: Scene, _: random.Random) -> Reference:
    return {}, [join(list(dict.fromkeys(item.color for item in scene.objects)))]


def _what_color(scene: Scene, rng: random.Random) -> Reference:
    shades = [item.color for item in scene.objects]
    items = [item for item in scene.objects if shades.count(item.color) == 1]
    if not items:
        return None
    item = rng.choice(items)
    return {"color": item.color}, [f"the {item.label}", f"the {item.name}"]


def _gone(scene: Scene, rng: random.Random) -> Reference:
    gone = _label(scene, rng, False) if rng.random() < 0.5 else rng.choice(STRANGERS)
    return {"gone": gone}, [f"There is no {gone}."]


def _animals(scene: Scene, _: random.Random) -> Reference:
    members = of_category(scene, "animal")
    if members is None:
        return None
    return {}, [join(groups(members))] if members else ["There are no animals.", "nothing", "none"]


def _any_category(category: str) -> OfOne:
    def reference(scene: Scene, rng: random.Random) -> Reference:
        members = of_category(scene, category)
        return None if members is None or (members and rng.random() < 0.4) else ({}, _yes(bool(members)))

    return reference


def _nearest(scene: Scene, rng: random.Random) -> Reference:
    pairs = [(item, other) for item in single(scene) if (other := nearest(scene, item)) is not None]
    if not pairs:
        return None
    item, other = rng.choice(pairs)
    return {"label": item.label}, [article(other.name), other.label]


def _same_color(scene: Scene, rng: random.Random) -> Reference:
    two = _two(scene, rng)
    if two is None or (two[0].color != two[1].color and rng.random() < 0.6):
        return None
    return {"a": two[0].label, "b": two[1].label}, _yes(two[0].color == two[1].color)


def _more(scene: Scene, rng: random.Random) -> Reference:
    labels = [item.label for item in scene.objects]
    if len(set(labels)) < 2:
        return None
    one, other = rng.sample(sorted(set(labels)), 2)
    return {"many": plural(one), "others": plural(other)}, _yes(labels.count(one) > labels.count(other))


def _unknown(scene: Scene, rng: random.Random) -> Reference:
    return {"label": rng.choice(scene.objects).label}, [UNKNOWN]


def _which(scenes: tuple[Scene, ...], rng: random.Random) -> Reference:
    label = rng.choice(rng.choice(scenes).objects).label
    hits = [number for number, scene in enumerate(scenes, 1) if any(item.label == label for item in scene.objects)]
    return ({"label": label}, [f"Image {hits[0]}."]) if len(hits) == 1 else None


def _none(scenes: tuple[Scene, ...], rng: random.Random) -> Reference:
    present = {item.label for scene in scenes for item in scene.objects}
    gone = rng.choice([label for label in LABELS if label not in present])
    return {"gone": gone if rng.random() < 0.7 else rng.choice(STRANGERS)}, [NONE]


def _fuller(scenes: tuple[Scene, ...], _: random.Random) -> Reference:
    one, other = (len(scene.objects) for scene in scenes)
    return None if one == other else ({}, [f"Image {1 if one > other else 2}."])


def _in_one(reference: OfOne) -> OfTwo:
    def about(scenes: tuple[Scene, ...], rng: random.Random) -> Reference:
        number = rng.randint(1, 2)
        one = reference(scenes[number - 1], rng)
        return one and ({**one[0], "number": number, "ordinal": ORDINALS[number - 1]}, one[1])

    return OfTwo(about)


def _both(scenes: tuple[Scene, ...], rng: random.Random) -> Reference:
    label = rng.choice(scenes[0].objects).label
    there = any(item.label == label for item in scenes[1].objects)
    return None if not there and rng.random() < 0.8 else ({"label": label}, _yes(there))


REFERENCES: dict[str, OfOne | OfTwo] = {
    "count": _count,
    "count of a colour": _count_color,
    "count in all": lambda scene, _: ({}, [str(len(scene.objects))]),
    "colour": _color,
    "is there": _exists,
    "is anything of a colour": _any_of_color,
    "has it this colour": _has_color,
    "where": _where,
    **{word: _extreme(word) for word in ("biggest", "smallest", "leftmost", "rightmost", "highest", "lowest")},
    "is it left of": _relation(0),
    "is it above": _relation(1),
    "which is bigger": _which_bigger,
    "is it bigger": _is_bigger,
    "setting": _setting,
    "night": _night,
    "snow": _snow,
    "describe": _described,
    "list": _described,
    "which colours": _colors,
    "what is this colour": _what_color,
    "absent colour": _gone,
    "absent place": _gone,
    "animals": _animals,
    "animals there": _any_category("animal"),
    "vehicles there": _any_category("vehicle"),
    "nearest": _nearest,
    "same colour": _same_color,
    "more": _more,
    "unknown": _unknown,
    "which image": OfTwo(_which),
    "none of them": OfTwo(_none),
    "which has more": OfTwo(_fuller),
    "colour in one": _in_one(_color),
    "count in one": _in_one(_count),
    "in both": OfTwo(_both),
}
