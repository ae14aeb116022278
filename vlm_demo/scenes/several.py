"""Several scenes that belong together: pairs with known changes, and stories."""

import random
from dataclasses import dataclass, replace

from .asking import QA
from .language import PLACES, article, capital
from .world import (
    COLORS,
    LABELS,
    SETTINGS,
    Scene,
    SceneObject,
    detections_json,
    fits,
    is_heldout,
    make_scene,
    pick_look,
    place,
    with_items,
)

KINDS = ("added", "removed", "moved", "recoloured", "replaced", "setting")
# How one asks after each kind of change, and the answer where there is none of it.
ASKED: dict[str, tuple[tuple[str, ...], str]] = {
    "added": (
        ("What was added?", "What is new?", "What is new in image 2?", "Was anything added?"),
        "Nothing was added.",
    ),
    "removed": (
        ("What was removed?", "What is missing?", "What is missing in image 2?", "Was anything removed?"),
        "Nothing was removed.",
    ),
    "moved": (("What moved?", "What was moved?", "Which object moved?", "Did anything move?"), "Nothing moved."),
    "recoloured": (
        ("What changed its colour?", "Which object changed colour?", "Did anything change its colour?"),
        "Nothing changed its colour.",
    ),
    "replaced": (
        ("What was replaced?", "Which object was replaced?", "Was anything replaced?"),
        "Nothing was replaced.",
    ),
    "setting": (
        ("Did the setting change?", "How did the setting change?", "What happened to the background?"),
        "The setting did not change.",
    ),
}


@dataclass(frozen=True)
class Change:
    """One difference: its kind, the words for it, and what it touches in the first and in the second image."""

    kind: str
    text: str
    before: SceneObject | None = None
    after: SceneObject | None = None


@dataclass(frozen=True)
class Pair:
    """Two scenes and what changed between them."""

    scenes: tuple[Scene, Scene]
    changes: tuple[Change, ...]

    @property
    def change_text(self) -> str:
        """What changed, in words."""
        return " ".join(change.text for change in self.changes) or "Nothing changed."

    @property
    def boxes_json(self) -> str:
        """Boxes of the changes on both images, in the model's own language."""
        items = [(c.before, 1) for c in self.changes if c.before] + [(c.after, 2) for c in self.changes if c.after]
        return detections_json([item for item, _ in items], [image for _, image in items])

    def questions(self, seed: int) -> list[QA]:
        """Questions about one kind of change each, most of them about what did not happen."""
        rng = random.Random(f"changes {seed}")
        qas = []
        for kind, (wordings, nothing) in ASKED.items():
            texts = " ".join(change.text for change in self.changes if change.kind == kind)
            qas.append(QA(rng.choice(wordings), texts or nothing, f"what was {kind}"))
        same = "no" if self.changes else "yes"
        qas.append(QA(rng.choice(("Are the images the same?", "Are both pictures the same?")), same, "are they same"))
        return qas


@dataclass(frozen=True)
class Story:
    """Three scenes in a row and what happens across them."""

    scenes: tuple[Scene, ...]
    kind: str
    text: str


def _unique(scene: Scene, rng: random.Random) -> SceneObject | None:
    """An object whose colour and label stand only once, so that words can name it."""
    names = [item.name for item in scene.objects]
    items = [item for item in scene.objects if names.count(item.name) == 1]
    return rng.choice(items) if items else None


def _direction(before: SceneObject, after: SceneObject) -> str:
    dx, dy = after.center[0] - before.center[0], after.center[1] - before.center[1]
    if abs(dx) > abs(dy):
        return "to the right" if dx > 0 else "to the left"
    return "down" if dy > 0 else "up"


def _swap(scene: Scene, old: SceneObject, new: SceneObject | None) -> Scene:
    kept = [item for item in scene.items if item is not old]
    return with_items(scene, kept + ([new] if new else []))


def _change(scene: Scene, kind: str, rng: random.Random, combos: str) -> tuple[Scene, Change] | None:
    """The scene with one change of a kind, or None when it does not work out here."""
    names = {item.name for item in scene.objects}
    if kind == "setting":
        setting = rng.choice([name for name in SETTINGS if name != scene.setting])
        text = f"The setting changed from {PLACES[scene.setting]} to {PLACES[setting]}."
        return replace(scene, setting=setting), Change(kind, text)
    if kind == "added":
        label, color = pick_look(rng, combos)
        item = place(rng, label, color, list(scene.items))
        if item is None or item.name in names or len(scene.items) >= 6:
            return None
        return with_items(scene, [*scene.items, item]), Change(
            kind, f"{capital(article(item.name))} was added.", None, item
        )
    old = _unique(scene, rng)
    if old is None:
        return None
    others = [item for item in scene.items if item is not old]
    if kind == "removed":
        if not others:
            return None
        return _swap(scene, old, None), Change(kind, f"The {old.name} was removed.", old, None)
    if kind == "moved":
        for _ in range(30):
            new = replace(old, cx=rng.uniform(0.1, 0.9), cy=rng.uniform(0.1, 0.9))
            dx, dy = abs(new.cx - old.cx), abs(new.cy - old.cy)
            if max(dx, dy) > 0.2 and abs(dx - dy) > 0.08 and fits(new, others):
                return _swap(scene, old, new), Change(kind, f"The {old.name} moved {_direction(old, new)}.", old, new)
        return None
    if kind == "recoloured":
        color = rng.choice([c for c in COLORS if c != old.color])
        new = replace(old, color=color)
        text = f"The {old.label} changed from {old.color} to {color}."
    else:
        label = rng.choice([name for name in LABELS if name != old.label])
        new = replace(old, label=label)
        text = f"The {old.name} was replaced by {article(new.name)}."
    if new.name in names or not fits(new, others) or (combos == "seen" and is_heldout(new.label, new.color)):
        return None
    if kind == "recoloured" and sum(item.label == old.label for item in scene.items) > 1:
        return None
    return _swap(scene, old, new), Change(kind, text, old, new)


def make_pair(seed: int, kind: str | None = None, changes: int | None = None, combos: str = "any") -> Pair:
    """Two scenes that differ in one or two known ways (or, now and then, in none)."""
    rng = random.Random(f"pair {seed} {combos}")
    first = make_scene(rng.getrandbits(40), combos, objects=rng.randint(1, 5))
    wanted = changes if changes is not None else rng.choices((0, 1, 2), weights=(6, 74, 20))[0]
    second, done, touched = first, [], set()
    for _ in range(40):
        if len(done) == wanted:
            break
        step = _change(second, kind or rng.choice(KINDS), rng, combos)
        if step is None:
            continue
        after, change = step
        involved = {item.name for item in (change.before, change.after) if item} or {"setting"}
        if involved & touched:  # two changes of one thing would have no plain words
            continue
        touched |= involved
        second = after
        done.append(change)
    return Pair((first, second), tuple(sorted(done, key=lambda change: KINDS.index(change.kind))))


def make_story(seed: int, combos: str = "any") -> Story:
    """Three scenes: something moves on, appears, vanishes, changes its colour, or the setting changes."""
    rng = random.Random(f"story {seed} {combos}")
    while True:
        first = make_scene(rng.getrandbits(40), combos, objects=rng.randint(1, 4))
        kind = rng.choice(("moves", "appear", "vanish", "colours", "settings"))
        steps = _STORIES[kind](first, rng, combos)
        if steps:
            return Story((first, *steps[0]), kind, steps[1])


def _moves(first: Scene, rng: random.Random, combos: str) -> tuple[list[Scene], str] | None:
    item = _unique(first, rng)
    if item is None:
        return None
    others = [other for other in first.items if other is not item]
    dx, dy, words = rng.choice(
        ((0.24, 0, "to the right"), (-0.24, 0, "to the left"), (0, 0.24, "down"), (0, -0.24, "up"))
    )
    steps = [replace(item, cx=item.cx + dx * k, cy=item.cy + dy * k) for k in (1, 2)]
    if not all(fits(step, others) for step in steps):
        return None
    return [_swap(first, item, step) for step in steps], f"The {item.name} moves {words}."


def _appear(first: Scene, rng: random.Random, combos: str) -> tuple[list[Scene], str] | None:
    scenes, names = [first], []
    for _ in range(2):
        step = _change(scenes[-1], "added", rng, combos)
        if step is None or step[1].after.name in names:
            return None
        scenes.append(step[0])
        names.append(step[1].after.name)
    return scenes[1:], f"{capital(article(names[0]))} appears, then {article(names[1])}."


def _vanish(first: Scene, rng: random.Random, combos: str) -> tuple[list[Scene], str] | None:
    scenes, names = [first], []
    for _ in range(2):
        step = _change(scenes[-1], "removed", rng, combos)
        if step is None:
            return None
        scenes.append(step[0])
        names.append(step[1].before.name)
    return scenes[1:], f"The {names[0]} vanishes, then the {names[1]}."


def _colors(first: Scene, rng: random.Random, combos: str) -> tuple[list[Scene], str] | None:
    item = _unique(first, rng)
    if item is None or sum(other.label == item.label for other in first.items) > 1:
        return None
    two, three = rng.sample([color for color in COLORS if color != item.color], 2)
    if combos == "seen" and (is_heldout(item.label, two) or is_heldout(item.label, three)):
        return None
    scenes = [_swap(first, item, replace(item, color=color)) for color in (two, three)]
    return scenes, f"The {item.label} turns from {item.color} to {two}, then to {three}."


def _settings(first: Scene, rng: random.Random, combos: str) -> tuple[list[Scene], str] | None:
    two, three = rng.sample([name for name in SETTINGS if name != first.setting], 2)
    scenes = [replace(first, setting=setting) for setting in (two, three)]
    return scenes, f"The setting changes from {PLACES[first.setting]} to {PLACES[two]}, then to {PLACES[three]}."


_STORIES = {"moves": _moves, "appear": _appear, "vanish": _vanish, "colours": _colors, "settings": _settings}
