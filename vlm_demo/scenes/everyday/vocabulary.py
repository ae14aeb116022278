"""Words for what scenes show, beside labels and colours: kinds of things, other names, and things that never occur."""

from pathlib import Path

from ..objects import Layout, SceneObject

CATEGORIES: dict[str, tuple[str, ...]] = {
    "animal": ("cat", "dog", "horse", "cow", "hippo", "fish", "bird", "frog", "spider"),
    "vehicle": ("car", "bus", "truck", "tractor", "bicycle", "plane", "helicopter", "boat", "rocket"),
    "fruit": ("apple",),
    "tool": ("hammer",),
}
DEBATABLE = {  # whether these belong to it is a matter of taste: nothing is asked about it where they are
    "animal": ("dragon",),
    "vehicle": (),
    "fruit": ("carrot",),
    "tool": ("key", "anchor", "umbrella", "bulb"),
}
SYNONYMS: dict[str, tuple[str, ...]] = {
    "plane": ("airplane", "aeroplane"),
    "bicycle": ("bike",),
    "boat": ("ship",),
    "cup": ("mug",),
    "gift": ("present",),
    "hippo": ("hippopotamus",),
    "bulb": ("light bulb", "lightbulb"),
    "truck": ("lorry",),
    "cat": ("kitty",),
    "purple": ("violet",),
}
# Things that scenes never show, so that "There is no zebra." is learned for words that the model has never drawn.
FOREIGN: tuple[str, ...] = tuple(
    word
    for line in Path(__file__).with_name("foreign.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for word in line.split()
)
COMPASS = {  # ways to name the nine fields of a picture
    "top left": "(top left|upper left) (corner|)",
    "top": "top centre",
    "top right": "(top right|upper right) (corner|)",
    "left": "centre left",
    "centre": "(centre|center|middle)",
    "right": "centre right",
    "bottom left": "(bottom left|lower left) (corner|)",
    "bottom": "bottom centre",
    "bottom right": "(bottom right|lower right) (corner|)",
}
SIDES = {  # a third of the picture: its axis, and whether it is the first or the last
    "left": (0, True),
    "right": (0, False),
    "top": (1, True),
    "bottom": (1, False),
}
PICTURE = "(picture|picture|image|photo|scene)"


def of_category(scene: Layout, category: str) -> list[SceneObject] | None:
    """The objects of a category, None where one may doubt it."""
    if any(item.label in DEBATABLE[category] for item in scene.objects):
        return None
    return [item for item in scene.objects if item.label in CATEGORIES[category]]


def many(word: str) -> str:
    """The plural of a category or of a thing that never occurs."""
    irregular = {
        "person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice", "wolf": "wolves",
        "sheep": "sheep", "deer": "deer", "knife": "knives", "leaf": "leaves", "fruit": "fruits", "glass": "glasses",
    }  # fmt: skip
    if word in irregular:
        return irregular[word]
    if word.endswith(("sh", "ch", "x", "s")):
        return f"{word}es"
    return f"{word[:-1]}ies" if word.endswith("y") and word[-2] not in "aeiou" else f"{word}s"
