"""Everyday questions about the setting, and those that no picture answers."""

import random

from ..asking import QA, UNKNOWN
from ..grammar import say
from ..language import PLACES
from ..objects import Layout
from .vocabulary import PICTURE

HELLO = "Ask me about the picture."
OUTSIDE = "outdoors"
# Statements about settings: wording, settings where it is true, settings where one may doubt it.
CLAIMS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (f"Is (it|this|this {PICTURE}|the scene) (at|taken at|set at|by) night (time|)?", ("night",), ()),
    ("Is it (night|night-time|nighttime|dark) (here|in the picture|outside|)?", ("night",), ("room",)),
    (
        "Is it (day|daytime|day time|bright) (here|in the picture|outside|)?",
        ("grass", "sea", "beach", "snow"),
        ("room",),
    ),
    (
        "(Are we|Is this|Is it|Is the scene|Was this taken) (inside|indoors|in a house|inside a room)?",
        ("room",),
        ("night",),
    ),
    (
        "(Are we|Is this|Is it|Is the scene) (outside|outdoors|in the open)?",
        ("grass", "sea", "beach", "snow"),
        ("night",),
    ),
    ("(Is there|Do you see|Can you see) (any|) snow (on the ground|here|in the picture|)?", ("snow",), ()),
    ("(Is it|Does it look like|Is this) (winter|wintry|snowy)?", ("snow",), ("night", "room")),
    ("(Is there|Do you see|Can you see) (any|) (grass|lawn) (here|in the picture|)?", ("grass",), ("night",)),
    ("(Is there|Do you see|Can you see) (any|) (sand) (here|in the picture|)?", ("beach",), ()),
    ("(Is this|Are we|Is it) (at|on) (a|the) beach?", ("beach",), ()),
    ("(Is this|Are we|Is it|Are they) (at|on) (the sea|the ocean)?", ("sea",), ("beach",)),
    ("(Is this|Are we|Is it|Are the things) on (a|the) (meadow|grass|lawn|field)?", ("grass",), ()),
    ("(Is this|Are we|Is it|Are they) in (a|the) (room|living room|house)?", ("room",), ()),
    ("(Is this|Are we|Are the things|Is it) in the snow?", ("snow",), ()),
)


def settings(scene: Layout, rng: random.Random) -> list[QA]:
    """Where the picture was taken, day or night, indoors or outdoors."""
    question = say(
        rng,
        "Where (is this|are we|are they|does this take place|is this happening|was this|could this be)?",
        f"Where (was|is) (this|the) {PICTURE} (taken|made|set|from)?",
        "What (is|would you call) the (setting|background|place|location|scenery|surroundings|environment) "
        f"(of this {PICTURE}|here|)?",
        "What (kind of|sort of|type of|) (place|setting|background|scenery|location|landscape) is (this|it|"
        "shown|that)?",
        "(What|Which) (place|setting|background) (do you see|is it|can you see|does it have)?",
        "What (is|do you see) (in the background|behind the things|behind them|around them)?",
        "What does the background (look like|show)?",
    )
    qas = [QA(question, PLACES[scene.setting], "where is this")]
    words, holds, doubt = rng.choice([claim for claim in CLAIMS if scene.setting not in claim[2]])
    qas.append(QA(say(rng, words), "yes" if scene.setting in holds else "no", "is this where"))
    likely = [claim for claim in CLAIMS if scene.setting in claim[1]]  # so that "yes" is not rare
    if likely:
        qas.append(QA(say(rng, rng.choice(likely)[0]), "yes", "is this where"))
    if scene.setting != "room":
        question = say(
            rng,
            "Is (it|this) (day|daytime) or (night|night-time) (here|)?",
            f"(Is it|Was this {PICTURE} taken) (during the|by|at) day or (at|by) night?",
            "(What|Which) time of (the|) day is it?",
        )
        qas.append(QA(question, "night" if scene.setting == "night" else "day", "day or night"))
    if scene.setting != "night":
        question = say(
            rng,
            "(Is|Was) (it|this) (taken|) (indoors or outdoors|inside or outside|outside or inside|outdoors "
            "or indoors)?",
            "(Are we|Are they) (inside or outside|indoors or outdoors|outside or in a room)?",
        )
        qas.append(QA(question, "indoors" if scene.setting == "room" else OUTSIDE, "indoors or outdoors"))
    return qas


def unknowable(scene: Layout, rng: random.Random) -> list[QA]:
    """What the picture cannot tell, and small talk."""
    item = rng.choice(scene.objects)
    label = item.label
    question = say(
        rng,
        f"What is the {label}'s (name|age|job|owner|favourite food|price|weight)?",
        f"(What|Which) (name|brand|make|model|breed|price|material) (is|has|does) the {label}?",
        f"How (old|expensive|heavy|fast|smart|loud|tired|hungry|much) is the {label}?",
        f"Who (owns|made|built|bought|drew|painted|left|uses|drives|put) the {label} (here|there|)?",
        f"(Why|How come|For what reason) (is|was|did) the {label} (here|there|come|put there|{item.color})?",
        f"What (is|was) the {label} (thinking|doing|feeling|saying|eating|waiting for|going to do|called)?",
        f"(Is|Was) the {label} (happy|sad|hungry|tired|angry|alive|real|new|expensive|heavy|friendly|lost|mine)?",
        f"How much (does|did) the {label} (cost|weigh|eat)?",
        f"What (will|does|did) the {label} (do next|do|want|eat|say|sound like|smell like|taste like)?",
        f"Where (does|did|will) the {label} (live|come from|go|go next)?",
        f"Does the {label} (have a name|like me|work|cost much|belong to someone|move|talk)?",
        f"(Who|When|Why) (took|made|drew|was) this {PICTURE} (taken|)?",
        "What (will happen|happened|happens) (next|before|after this|later|then)?",
        "(What|Which) (time|year|month|day|country|city|date) is (it|this)?",
        "(What|Who) are you?",
        "How old are you?",
        "What is the (meaning of life|capital of France|weather tomorrow|temperature|price|title|artist's name)?",
        "(Can you|Please|) (tell me a joke|sing a song|write a poem|tell me a story)?",
        "(What|How) (is|was) the weather (like|) (tomorrow|yesterday|today)?",
        "(What|Which) (music|language|text|word|number|letter) (is|can be read) (written|playing|heard) "
        "(there|here|on it)?",
        "What does the (text|sign|writing|label) (say|mean)?",
        f"Is (it|this) (a good|a nice|a famous|an old|an expensive) {PICTURE}?",
        "(Why|How) (is it so|do you know|did this happen|can that be)?",
        "(Is it|Will it be|Was it) (cold|warm|hot|windy|dangerous|loud)?",
    )
    qas = [QA(question, UNKNOWN, "cannot know")]
    if rng.random() < 0.3:
        question = say(
            rng,
            "(hello|hi|hey|good morning|hi there|hello there)",
            "(thanks|thank you|thank you very much|great|ok|okay|nice|cool|good job|well done|bye)",
            "(What|Which things) can (you do|I ask you|I ask)?",
            "(help|test|can you help me|how does this work)?",
        )
        qas.append(QA(question, HELLO, "small talk"))
    return qas
