"""Questions made from captions: is somebody doing something, has a thing this colour, each with its opposite.

A caption is true of its own image; taken from another image about the same somebody it is false of this one, unless a
caption here says the same.
"""

import random
import re
from collections.abc import Iterable

COLORS = "black white red blue green yellow brown orange pink purple gray grey".split()
STOP = set(
    "a an the is are was of in on at to and with by for his her their its it he she they this that there from into as "
    "up down out over near while some two three several group people person man woman men women boy girl".split()
)
DOING = re.compile(
    r"^(a|an|the|two|three|four|several|some|many)((?: [\w-]+){1,3}?) (?:(is|are) )?(\w{2,}ing)\b ?([\w' -]*?)[.,]",
    re.IGNORECASE,
)
COLORED = re.compile(rf"\b({'|'.join(COLORS)}) (\w{{3,}})\b", re.IGNORECASE)
NO_THING = {"and", "with", "dress", "background", "colored", "coloured", "hair", "haired", "top", "striped", "clothes"}

Pair = tuple[str, str]  # question, answer


def doing(caption: str, rng: random.Random) -> tuple[str, str] | None:
    """(who, question) of a caption that says what somebody is doing: "Is the man riding a horse?"."""
    match = DOING.match(caption)
    if not match or match[2].split()[-1].lower() in ("building", "king", "wing", "thing", "something", "ceiling"):
        return None
    first, who, rest = match[1].lower(), match[2].strip().lower(), match[5].split()[:6]
    while rest and (rest[-1] in STOP or rest[-1] in ("who", "each", "next", "that")):
        rest.pop()
    several = first not in ("a", "an", "the") or match[3] == "are"
    text = f"{'Are' if several else 'Is'} {rng.choice(('the', first))} {who} {' '.join([match[4].lower(), *rest])}"
    return who.split()[-1], f"{text}?"


def content(text: str) -> set[str]:
    """The words of a text that say something, by their first five letters."""
    return {word[:5] for word in re.findall(r"[a-z]+", text.lower()) if word not in STOP and len(word) > 2}


def doing_questions(own: Iterable[str], foreign: Iterable[str], rng: random.Random) -> list[Pair]:
    """One question to be answered by yes, from a caption of this image, and one by no, from one of another image about
    the same somebody where there is one."""
    own = list(own)
    true = [matched for text in own if (matched := doing(text, rng))]
    known = set().union(*map(content, own))
    false = [matched for text in foreign if (matched := doing(text, rng)) and len(content(matched[1]) & known) == 0]
    if not true or not false:
        return []
    who, question = rng.choice(true)
    alike = [text for other, text in false if other == who]
    return [(question, "yes"), (rng.choice(alike or [text for _, text in false]), "no")]


def colors_of(captions: Iterable[str]) -> dict[str, set[str]]:
    """The colours in which captions speak of each thing."""
    matched: dict[str, set[str]] = {}
    for text in captions:
        for color, thing in COLORED.findall(text):
            matched.setdefault(thing.lower(), set()).add(color.lower())
    return matched


def color_questions(captions: Iterable[str], rng: random.Random) -> list[Pair]:
    """Is the bus red? Is it blue? Which colour it has is asked in `everyday`."""
    single = [(thing, next(iter(colors))) for thing, colors in colors_of(captions).items() if len(colors) == 1]
    single = [(thing, color) for thing, color in single if thing not in NO_THING and thing not in COLORS]
    if not single:
        return []
    thing, color = rng.choice(single)
    verb = "Are" if thing.endswith("s") and not thing.endswith("ss") else "Is"
    other = rng.choice([name for name in COLORS if name not in (color, "gray", "grey")])
    return [rng.choice(((f"{verb} the {thing} {color}?", "yes"), (f"{verb} the {thing} {other}?", "no")))]
