"""A small grammar of wordings: `(How many|What number of) cats (are there|do you see)?`."""

import random
import re

_CHOICE = re.compile(r"\(([^()]*)\)")
_BEFORE_MARK = re.compile(r" +(?=[?.,:!])")


def say(rng: random.Random, *templates: str) -> str:
    """One wording of one of the templates. `(a|b|)` chooses, also within another choice; spaces are put right."""
    text = rng.choice(templates)
    while "(" in text:
        text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text)
    return _BEFORE_MARK.sub("", " ".join(text.split()))
