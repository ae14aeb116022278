"""How people type: other names, politeness, small letters, missing marks, the other spelling, mistakes."""

import random
import re

from train.router.typing import mistype
from vlm_demo.scenes.everyday.vocabulary import SYNONYMS

BEFORE = (
    "Please tell me: ",
    "Can you tell me, ",
    "Tell me, ",
    "Hey, ",
    "Hi, ",
    "So, ",
    "And ",
    "Ok, ",
    "Question: ",
    "I wonder: ",
    "Look: ",
    "Quick question: ",
    "Now ",
    "Please, ",
    "Well, ",
    "um ",
)
AFTER = (" please", ", please", " pls", " thanks", ", thank you", " then", " now", " exactly", "?", "!", " do you know")
SHORT = {"what is": "whats", "where is": "wheres", "picture": "pic", "please": "pls", "you": "u", "how many": "howmany"}


def typed(text: str, rng: random.Random, mistakes: float = 0.15) -> str:
    """A question as somebody might type it; `mistakes` is the share of texts with mistakes."""
    for word, names in SYNONYMS.items():
        if rng.random() < 0.12:
            text = re.sub(rf"\b{word}(?=s?\b)", rng.choice(names), text)
    if "colour" in text and rng.random() < 0.5:
        text = text.replace("colour", "color")
    if "centre" in text and rng.random() < 0.5:
        text = text.replace("centre", "center")
    mark = text[len(text.rstrip("?.")) :]
    if rng.random() < 0.12:
        text = rng.choice(BEFORE) + text[:1].lower() + text[1:]
    if rng.random() < 0.08:
        text = text.rstrip("?.") + rng.choice(AFTER) + mark
    if rng.random() < 0.35:
        text = re.sub(r"\b(what|who|where|that|it|there|how) is\b", r"\1's", text, flags=re.IGNORECASE)
        if rng.random() < 0.3:
            text = text.replace("'", "")
    if rng.random() < 0.08:
        for long, short in SHORT.items():
            text = text.replace(long, short)
    if rng.random() < 0.35:
        text = text.lower()
    if rng.random() < 0.3:
        text = text.rstrip("?.") + rng.choice(("", "", "", "?", ".", "!", " ?", "??"))
    return mistype(text, rng) if rng.random() < mistakes else text
