"""Which of the earlier turns a question needs."""

from __future__ import annotations

import re
from dataclasses import replace

from vlm_demo.results import Message, Request

# What points at things that were named before; "he" or "this" is as well found in the image itself.
_POINTS = re.compile(
    r"\b(it|its|they|them|their|theirs|others?|another|else|too|also|again|instead|former|latter)\b|"
    r"\b(an?|any) \w+ one\b|\bones\b|^(and|but|or|then|what about|how about|why|really|where (in|on) the)\b"
)
# Where such words point at the image, or at nothing.
_POINTS_AT_IMAGE = re.compile(
    r"\b(in|of|on|from) it$|\bin it\b|\b(did|do|have) they (draw|drawn|paint|painted)\b|\b(the other|another) "
    r"(picture|image|photo|photograph|pic|drawing|scene)\b|\b(what|which) time is it\b|"
    r"\b(is|was|isn't|wasn't) it (taken |shot )?(in |at )?(the |a )?"
    r"(day|night|dark|light|bright|sunny|rain|raining|snow|snowing|cold|warm|hot|winter|summer|indoors?|outdoors?|"
    r"inside|outside|morning|evening|daytime|nighttime)\b"
)
_FEW = 2  # words; as many are no whole question, and before a comma only the way to one, unless they name something
_NAMES = re.compile(r"(the|an?)\b")
_WORD = re.compile(r"[\w']+")


def leans(question: str) -> bool:
    """Whether a question is understood only by what was said before it: "And the dog?", "What colour is it?". What
    stands behind the first clause may point at that one."""
    text = question.lower().replace("\u2019", "'")
    if len(_WORD.findall(text)) <= _FEW:
        return True
    clauses = [clause.strip() for clause in re.split(r"[.,:;?!]", text)]
    whole = [clause for clause in clauses if len(_WORD.findall(clause)) > _FEW or _NAMES.match(clause)] or clauses
    return bool(_POINTS.search(_POINTS_AT_IMAGE.sub(" ", whole[0])) or _POINTS.match(clauses[0]))


def standing_alone(request: Request) -> Request:
    """The request without its earlier turns, where the last question does not need them and no image came later."""
    opening, *later = request.messages
    if not later or any(message.images for message in later) or leans(later[-1].text):
        return request
    return replace(request, messages=(Message("user", (*opening.images, later[-1].text)),))
