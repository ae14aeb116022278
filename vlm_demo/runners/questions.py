"""Questions to which yes and no are no answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlm_demo.model import MiniVLMProcessor

_LEAD = (  # what people say before they ask
    r"(?:(?:so|and|but|then|now|ok|okay|well|hey|hi|hello|please|(?:please )?tell me|(?:can|could|would) you "
    r"(?:please )?(?:tell me|say)|do you know|i wonder|i(?:'d| would) like to know|i want to know)[,:;.!]?\s+)*"
)
_OPEN = re.compile(rf"{_LEAD}(?:(?:in|on|at|to|of|from) )?(?:what|which|where|how|whats|wheres)\b(?! (?:about|if)\b)")
_OPPOSITES = "day night|indoors outdoors|inside outside|left right|above below|open closed|big small|light dark|new old"
_EITHER = re.compile(
    "|".join(rf"\b{a} or {b}\b|\b{b} or {a}\b" for a, b in (pair.split() for pair in _OPPOSITES.split("|")))
)
# A second clause that can be answered so: "What do you think, is it night?", "Which is it: is it day?", "yes or no".
_CLOSED = re.compile(r"[,.:;?!]\s*(?:is|are|was|were|do|does|did|has|have|can|could|am i|right|yes)\b|\byes or no\b")


def is_open(question: str) -> bool:
    """Whether a question asks what, which, where or how, or between opposites ("day or night?"), and for nothing that
    yes or no could answer."""
    text = question.lower().strip().replace("\u2019", "'")
    return bool(_OPEN.match(text) or _EITHER.search(text)) and not _CLOSED.search(text)


def begin_suppress_tokens(processor: MiniVLMProcessor, turn: dict[str, Any]) -> tuple[int, ...]:
    """The tokens that cannot begin the answer to a turn (as of `ModelRunner.prepare`): yes and no where it asks an open
    question."""
    question = " ".join(part["text"] for part in turn.get("content") or [turn] if "text" in part)
    if turn.get("task") not in ("vqa", "compare") or not is_open(question):
        return ()
    ids = (processor.encode_text(text) for text in ("yes", " yes", "no", " no"))
    return tuple({one[0] for one in ids if len(one) == 1})
