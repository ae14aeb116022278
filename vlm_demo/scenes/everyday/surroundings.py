"""Everyday questions about the setting, and those that no picture answers."""

import random

from ..asking import QA, UNKNOWN
from ..language import PLACES
from ..objects import Layout
from .wording import word

HELLO = "Ask me about the picture."
OUTSIDE = "outdoors"
BY_DAY = ("grass", "sea", "beach", "snow")
# Statements about settings: section and slot of the wording, settings where it is true, and where one may doubt it.
CLAIMS: tuple[tuple[str, dict[str, str], tuple[str, ...], tuple[str, ...]], ...] = (
    ("was it taken then", {"when": "(at night|by night|at night-time)"}, ("night",), ("room",)),
    ("was it taken then", {"when": "(by day|in the daytime|during the day)"}, BY_DAY, ("room",)),
    ("was it taken then", {"when": "(in winter|in wintertime)"}, ("snow",), ("night", "room")),
    ("is it the time", {"time": "(night|night-time|nighttime)"}, ("night",), ("room",)),
    ("is it the time", {"time": "(day|daytime|day time)"}, BY_DAY, ("room",)),
    ("is it the time", {"time": "winter"}, ("snow",), ("night", "room")),
    ("is it like that", {"state": "dark"}, ("night",), ("room",)),
    ("is it like that", {"state": "bright"}, BY_DAY, ("room",)),
    ("is it like that", {"state": "(wintry|snowy)"}, ("snow",), ("night", "room")),
    ("is this where", {"place": "(inside|indoors|in a house|inside a room|in a building)"}, ("room",), ("night",)),
    ("is this where", {"place": "(outside|outdoors|in the open|in the open air)"}, BY_DAY, ("night",)),
    ("is this where", {"place": "(at|on) (a|the) beach"}, ("beach",), ()),
    ("is this where", {"place": "(at sea|out at sea|on the sea|on the ocean)"}, ("sea",), ("beach",)),
    ("is this where", {"place": "(on a meadow|in a meadow|on the grass|on a lawn|in a field)"}, ("grass",), ("night",)),
    ("is this where", {"place": "in (a|the) (room|living room|house)"}, ("room",), ()),
    ("is this where", {"place": "in the snow"}, ("snow",), ()),
    ("is there ground", {"stuff": "snow"}, ("snow",), ()),
    ("is there ground", {"stuff": "grass"}, ("grass",), ("night",)),
    ("is there ground", {"stuff": "sand"}, ("beach",), ()),
)


def settings(scene: Layout, rng: random.Random) -> list[QA]:
    """Where the picture was taken, day or night, indoors or outdoors."""
    qas = [QA(word(rng, "where is this"), PLACES[scene.setting], "where is this")]
    name, slots, holds, _ = rng.choice([claim for claim in CLAIMS if scene.setting not in claim[3]])
    qas.append(QA(word(rng, name, **slots), "yes" if scene.setting in holds else "no", "is this where"))
    likely = [claim for claim in CLAIMS if scene.setting in claim[2]]  # so that "yes" is not rare
    if likely:
        name, slots, *_ = rng.choice(likely)
        qas.append(QA(word(rng, name, **slots), "yes", "is this where"))
    if scene.setting != "room":
        answer = "night" if scene.setting == "night" else "day"
        qas.append(QA(word(rng, "day or night"), answer, "day or night"))
    if scene.setting != "night":
        answer = "indoors" if scene.setting == "room" else OUTSIDE
        qas.append(QA(word(rng, "indoors or outdoors"), answer, "indoors or outdoors"))
    return qas


def unknowable(scene: Layout, rng: random.Random) -> list[QA]:
    """What the picture cannot tell, and small talk."""
    if rng.random() < 0.6:
        item = rng.choice(scene.objects)
        question = word(rng, "unknown of a thing", label=item.label, color=item.color)
    else:
        question = word(rng, "unknown")
    qas = [QA(question, UNKNOWN, "cannot know")]
    if rng.random() < 0.3:
        qas.append(QA(word(rng, "small talk"), HELLO, "small talk"))
    return qas
