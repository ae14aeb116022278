"""Words that pick things out: for detection of what is named, and for what is in a box."""

import random
from collections import Counter
from collections.abc import Sequence

from ..asking import COLORS, MARGIN, position_is_clear
from ..language import article, at_position, plural, position
from ..objects import Layout, SceneObject
from .neighbours import BESIDE
from .places import BEFORE, MOST, among, extreme, single
from .things import absent_label
from .vocabulary import CATEGORIES, COMPASS, FOREIGN, SIDES, many, of_category
from .wording import word

NOTHING = "nothing"
Box = tuple[float, float, float, float]  # x, y, w, h, 0 to 1
WITHIN = 0.04  # how far drawn boxes lie beside the true edges, as a share of the picture's side


def named(scene: Layout, rng: random.Random) -> tuple[str, list[SceneObject]]:
    """Words for some of the objects, or for what is not there, and the objects that they mean."""
    while True:
        way = rng.choice(_WAYS)(scene, rng)
        if way is not None:
            words, items = way
            return word(rng, "point out", words=words), [item for item in scene.objects if item in items]


def _all(rng: random.Random, one: str, several: str) -> str:
    return word(rng, "all of a kind", one=one, many=several, a=article(one))


Found = tuple[str, list[SceneObject]] | None


def _label(scene: Layout, rng: random.Random) -> Found:
    label = rng.choice(scene.objects).label
    return _all(rng, label, plural(label)), [item for item in scene.objects if item.label == label]


def _look(scene: Layout, rng: random.Random) -> Found:
    item = rng.choice(scene.objects)
    color = item.color if rng.random() < 0.7 else rng.choice(COLORS)
    words = _all(rng, f"{color} {item.label}", f"{color} {plural(item.label)}")
    return words, [other for other in scene.objects if other.label == item.label and other.color == color]


def _color(scene: Layout, rng: random.Random) -> Found:
    color = rng.choice((*(item.color for item in scene.objects), rng.choice(COLORS)))
    return word(rng, "all of a colour", color=color), [item for item in scene.objects if item.color == color]


def _absent(scene: Layout, rng: random.Random) -> Found:
    if rng.random() < 0.6:
        gone = absent_label(scene, rng)
        return _all(rng, gone, plural(gone)), []
    gone = rng.choice(FOREIGN)
    return _all(rng, gone, many(gone)), []


def _everything(scene: Layout, rng: random.Random) -> Found:
    return word(rng, "all there is"), list(scene.objects)


def _category(scene: Layout, rng: random.Random) -> Found:
    category = rng.choice(tuple(CATEGORIES))
    items = of_category(scene, category)
    return None if items is None else (_all(rng, category, many(category)), items)


def _extreme(scene: Layout, rng: random.Random) -> Found:
    key = rng.choice(tuple(BEFORE))
    if rng.random() < 0.5:
        item = extreme(scene.objects, key)
        return item and (word(rng, "the most of all", before=BEFORE[key], most=MOST[key]), [item])
    labels = Counter(item.label for item in scene.objects)
    for label in labels:
        item = extreme([item for item in scene.objects if item.label == label], key)
        if item is not None:
            return word(rng, "the most of a label", **among(key, label)), [item]
    return None


def _placed(scene: Layout, rng: random.Random) -> Found:
    """Something at a place: the cat at the top left, things on the right."""
    label = rng.choice(scene.objects).label
    if rng.random() < 0.5:
        if not all(position_is_clear(item) for item in scene.objects):
            return None
        at = position(rng.choice([item for item in scene.objects if item.label == label]))
        where = "in the (middle|centre|center)" if at == "centre" else f"(at|in) the {COMPASS[at]}"
        there = [item for item in scene.objects if position(item) == at]
    else:
        side = rng.choice(tuple(SIDES))
        axis, first = SIDES[side]
        if any(abs(item.center[axis] - 0.5) < 0.1 for item in scene.objects):
            return None
        there = [item for item in scene.objects if (item.center[axis] < 0.5) == first]
        on = f"on the {side}|on the {side} side" if axis == 0 else f"at the {side}"
        where = f"({on}|in the {side} half)"
    return _there(rng, where, there, label)


def _there(rng: random.Random, where: str, there: list[SceneObject], label: str) -> Found:
    """All that stands at a place, or what has a label of it."""
    if rng.random() < 0.45:
        return word(rng, "things there", where=where), there
    words = word(rng, "a kind there", where=where, one=label, many=plural(label))
    return words, [item for item in there if item.label == label]


def _beside(scene: Layout, rng: random.Random) -> Found:
    """Something left of, above ... something else: the cat left of the tree, what is below the dog."""
    others = single(scene)
    if len(scene.objects) < 2 or not others:
        return None
    other = rng.choice(others)
    relation, (axis, sign) = rng.choice(list(BESIDE.items()))
    gaps = {item: (item.center[axis] - other.center[axis]) * sign for item in scene.objects if item is not other}
    if any(abs(gap) < MARGIN for gap in gaps.values()):
        return None
    there = [item for item, gap in gaps.items() if gap > 0]
    return _there(rng, f"{relation} the {other.label}", there, rng.choice(list(gaps)).label)


_WAYS = (
    _label,
    _label,
    _look,
    _look,
    _color,
    _color,
    _absent,
    _everything,
    _category,
    _extreme,
    _placed,
    _placed,
    _beside,
    _beside,
)


def jittered(box: Box, rng: random.Random, by: float = WITHIN) -> Box:
    """A box as a person draws it: its edges lie a little beside the true ones."""
    x, y, w, h = box
    left, right = (min(max(edge + rng.uniform(-by, by), 0.0), 0.995) for edge in (x, x + w))
    top, bottom = (min(max(edge + rng.uniform(-by, by), 0.0), 0.995) for edge in (y, y + h))
    return left, top, max(right - left, 0.02), max(bottom - top, 0.02)


def empty_box(scene: Layout, rng: random.Random) -> Box | None:
    """A box in which there is nothing, or None where no place was found."""
    for _ in range(20):
        w, h = rng.uniform(0.12, 0.35), rng.uniform(0.12, 0.35)
        x, y = rng.uniform(0, 1 - w), rng.uniform(0, 1 - h)
        if all(
            x + w < item.bbox[0]
            or y + h < item.bbox[1]
            or x > item.bbox[0] + item.bbox[2]
            or y > item.bbox[1] + item.bbox[3]
            for item in scene.objects
        ):
            return x, y, w, h
    return None


def expression(scene: Layout, item: SceneObject) -> str:
    """Words that mean this object and no other: `the red cat`, `the red cat at the top left`, `the left red cat`."""
    same = [other for other in scene.objects if other.name == item.name]
    if len(same) == 1:
        return f"the {item.name}"
    if len(same) == 2:
        one, other = same
        wide, high = (abs(a - b) for a, b in zip(one.center, other.center, strict=True))
        axis = 0 if wide >= high else 1
        first = item.center[axis] == min(other.center[axis] for other in same)
        return f"the {(('right', 'left'), ('lower', 'upper'))[axis][first]} {item.name}"
    return f"the {item.name} {at_position(item)}"


def expressions(scene: Layout, item: SceneObject) -> Sequence[str]:
    """All the expressions that would be right for an object."""
    phrases = [expression(scene, item)]
    same = [other for other in scene.objects if other.name == item.name]
    for axis, names in ((0, ("left", "right")), (1, ("upper", "lower"))):
        if len(same) == 2:
            gap = item.center[axis] - next(other for other in same if other is not item).center[axis]
            phrases += [f"the {names[gap > 0]} {item.name}"] if abs(gap) > MARGIN / 2 else []
    if sum(position(other) == position(item) for other in same) == 1:
        phrases.append(f"the {item.name} {at_position(item)}")
    return phrases


__all__ = ["NOTHING", "empty_box", "expression", "expressions", "jittered", "named"]
