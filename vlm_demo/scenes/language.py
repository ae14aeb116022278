"""Words for scenes: names, places, captions."""

from collections import Counter

from .objects import Layout, SceneObject

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
IRREGULAR = {"fish": "fish", "bus": "buses", "snowman": "snowmen"}
PLACES: dict[str, str] = {
    "grass": "on the grass",
    "sea": "at sea",
    "beach": "on the beach",
    "night": "at night",
    "snow": "in the snow",
    "room": "in a room",
}


def plural(label: str) -> str:
    """The plural of a label."""
    return IRREGULAR.get(label, label + "s")


def article(words: str) -> str:
    """`a red cat`, `an orange cat`."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def join(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def groups(objects: list[SceneObject]) -> list[str]:
    """Phrases such as `a red cat` and `two blue cars`, in the order of each group's first object."""
    counts = Counter((item.color, item.label) for item in objects)
    return [
        article(f"{color} {label}") if n == 1 else f"{NUMBERS[n]} {color} {plural(label)}"
        for (color, label), n in counts.items()
    ]


def position(item: SceneObject) -> str:
    """Where in the image: nine fields, `top left` to `bottom right`."""
    x, y = item.center
    row = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    column = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    return f"{row} {column}".strip() or "centre"


def at_position(item: SceneObject) -> str:
    where = position(item)
    return "in the centre" if where == "centre" else f"at the {where}"


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[0].upper() + text[1:]


def caption(scene: Layout, style: str, variant: int = 0) -> str:
    """A caption in a style; `variant` counts through its wordings (0 is the usual one)."""
    place = PLACES[scene.setting]
    if style == "detailed":
        count = len(scene.objects)
        opening = f"{capital(NUMBERS[count])} {'object' if count == 1 else 'objects'} {place}:"
        if variant % 2:
            opening = f"{capital(place)}, from left to right:"
        return f"{opening} {join([f'{article(item.name)} {at_position(item)}' for item in scene.objects])}."
    things = join(groups(scene.objects))
    if style == "alt":
        return f"{capital(things)}, {place}."
    if style != "brief":
        raise ValueError(f"No such caption style: {style!r}. Choose brief, detailed or alt.")
    if variant % 3 == 1:
        return f"{capital(place)} there {'is' if things.startswith('a') else 'are'} {things}."
    return f"A picture of {things} {place}." if variant % 3 == 2 else f"{capital(things)} {place}."
