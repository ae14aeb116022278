"""What a scene is made of, and how one is made from a seed."""

import random
from dataclasses import dataclass, replace

from PIL import Image

from vlm_demo.detection.formats import write_objects

from . import chat as chats
from . import draw, language
from . import questions as asked
from .asking import QA
from .glyphs import CODEPOINTS
from .objects import Layout, SceneObject

LABELS: tuple[str, ...] = tuple(CODEPOINTS)
COLORS: tuple[str, ...] = tuple(draw.HSV)
SETTINGS: tuple[str, ...] = tuple(draw.GROUNDS)
MAX_OBJECTS = 6
SIZES = (0.19, 0.40)  # longer side of an object before it is turned, as a share of the image's side
GRID = 200  # steps of a coordinate from 0 to 1: one token each in the bundled model
MAX_OVERLAP = 0.10  # shared area of two boxes, as a share of the smaller one


@dataclass(frozen=True)
class Scene(Layout):
    """An image and everything that is true about it."""

    def image(self, size: int = 512) -> Image.Image:
        """The image, square, RGB, `size` pixels a side."""
        return draw.draw(self.setting, self.items, self.seed, size)

    def caption(self, style: str = "brief", variant: int = 0) -> str:
        """A true caption: `brief`, `detailed` or `alt`; `variant` counts through other wordings."""
        return language.caption(self, style, variant)

    def questions(self, seed: int | None = None) -> list[QA]:
        """True questions and answers of every kind that this scene allows; `seed` varies the wording."""
        return asked.questions(self, seed)

    def chat(self, seed: int | None = None) -> list[QA]:
        """A short conversation whose later questions lean on the earlier ones."""
        return chats.chat(self, self.seed if seed is None else seed)

    def detections_json(self) -> str:
        """The detections in the model's own language."""
        return detections_json(self.objects)


def detections_json(objects: list[SceneObject], images: list[int] | None = None) -> str:
    """JSON of the boxes; with `images` each also carries the number of its image."""
    entries = []
    for i, item in enumerate(objects):
        number = {} if images is None else {"image": images[i]}
        box = [min(round(v * GRID), GRID - 1) / GRID for v in item.bbox]
        entries.append({"label": item.label, **number, "bbox": box})
    return write_objects(entries)


def is_heldout(label: str, color: str) -> bool:
    """Whether training never shows this colour with this label (each is seen with others)."""
    return (LABELS.index(label) * 5 + COLORS.index(color) * 11) % 19 == 3


def _overlap(a: SceneObject, b: SceneObject) -> float:
    ax, ay, aw, ah = a.bbox
    bx, by, bw, bh = b.bbox
    shared = max(0.0, min(ax + aw, bx + bw) - max(ax, bx)) * max(0.0, min(ay + ah, by + bh) - max(ay, by))
    return shared / min(aw * ah, bw * bh)


def fits(item: SceneObject, others: list[SceneObject]) -> bool:
    """Whether the object lies inside the image and hardly touches the others."""
    x, y, w, h = item.bbox
    inside = x >= 0.005 and y >= 0.005 and x + w <= 0.995 and y + h <= 0.995
    return inside and all(_overlap(item, other) <= MAX_OVERLAP for other in others)


def pick_look(rng: random.Random, combos: str) -> tuple[str, str]:
    """A label and a colour; `combos` is `any`, `seen` (in training) or `heldout`."""
    while True:
        label, color = rng.choice(LABELS), rng.choice(COLORS)
        if combos == "any" or is_heldout(label, color) == (combos == "heldout"):
            return label, color


def place(
    rng: random.Random, label: str, color: str, others: list[SceneObject], size: float | None = None
) -> SceneObject | None:
    """The object somewhere free, or None when no place was found."""
    for attempt in range(60):
        shrink = 1 - attempt / 100
        wanted = size or rng.uniform(*SIZES)
        item = SceneObject(
            label,
            color,
            cx=rng.uniform(0.08, 0.92),
            cy=rng.uniform(0.08, 0.92),
            size=max(SIZES[0], wanted * shrink) if size is None else size,
            angle=rng.uniform(-0.2, 0.2),
            mirror=rng.random() < 0.5,
            jitter=(rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-1, 1)),
        )
        if fits(item, others):
            return item
    return None


def make_scene(seed: int, combos: str = "any", objects: int | None = None) -> Scene:
    """The scene of this seed.

    `combos="seen"` keeps the held-out combinations of colour and label out (training), `"heldout"` makes every object
    one of them (to measure generalisation), `"any"` draws from all. `objects` fixes how many are tried.
    """
    rng = random.Random(f"scene {seed} {combos}")
    count = objects or rng.choices(range(1, MAX_OBJECTS + 1), weights=(10, 22, 25, 20, 13, 10))[0]
    items: list[SceneObject] = []
    for _ in range(count):
        label, color = pick_look(rng, combos)
        # Repeats, so that counting and telling apart are worth asking about.
        if items and rng.random() < 0.3:
            twin = rng.choice(items)
            for look in rng.sample([(twin.label, twin.color), (twin.label, color), (label, twin.color)], 3):
                if combos == "any" or is_heldout(*look) == (combos == "heldout"):
                    label, color = look
                    break
        item = place(rng, label, color, items)
        if item is not None:
            items.append(item)
    return Scene(seed, rng.choice(SETTINGS), tuple(items))


def with_items(scene: Scene, items: list[SceneObject]) -> Scene:
    """The same scene with other objects (background and noise stay)."""
    return replace(scene, items=tuple(items))
