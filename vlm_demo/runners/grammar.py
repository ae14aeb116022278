"""Decoding bound to a form: which tokens may come next, so that what must be JSON is JSON, and nothing else.

A grammar works on characters: `next_states(state, char)`. `Vocabulary` walks the tree of all tokens along with it and
finds those that a state allows, as Willard and Louf (2023, https://arxiv.org/abs/2307.09702) do; what it found for a
state is kept.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol

from vlm_demo.runners.lru import ByteLRU

State = tuple[Hashable, ...]
KEPT_BYTES = 16_000_000  # of what is kept for states, at eight bytes a token
MAX_LABEL = 40  # characters of a label


class Grammar(Protocol):
    """A form that a text may have. `key` tells it from others in the vocabulary's memory."""

    key: Hashable
    start: State

    def step(self, state: State, char: str) -> State | None:
        """The state behind one more character; None where that is not allowed."""

    def is_end(self, state: State) -> bool:
        """Whether the text may end here."""


class Vocabulary:
    """The texts of all tokens as a tree of characters."""

    def __init__(self, texts: Iterable[tuple[int, str]]) -> None:
        """(id, text) of each token that may be written."""
        self.texts = dict(texts)
        self._root: dict = {}
        for id, text in self.texts.items():
            node = self._root
            for char in text:
                node = node.setdefault(char, {})
            if text:
                node.setdefault("", []).append(id)  # no character is the empty string
        self._known = ByteLRU(KEPT_BYTES)

    def allowed(self, grammar: Grammar, state: State) -> list[int]:
        """The tokens that a state allows."""
        key = (grammar.key, state)
        ids = self._known.get(key)
        if ids is None:
            ids = []
            walks = [(self._root, state)]
            while walks:
                node, at = walks.pop()
                ids += node.get("", ())
                for char, below in node.items():
                    if char and (then := grammar.step(at, char)) is not None:
                        walks.append((below, then))
            self._known.put(key, ids, 8 * len(ids) + 64)
        return ids


class Constraint:
    """A grammar along one answer."""

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary) -> None:
        self.grammar, self._vocabulary = grammar, vocabulary
        self.state = grammar.start

    def allowed(self, end_ids: set[int]) -> list[int]:
        """The tokens that may come next; at an end, those that end the answer as well."""
        ids = self._vocabulary.allowed(self.grammar, self.state)
        return [*ids, *end_ids] if self.grammar.is_end(self.state) else ids

    def advance(self, id: int) -> None:
        """A token has been written; one that ends the answer changes nothing."""
        for char in self._vocabulary.texts.get(id, ""):
            self.state = self.grammar.step(self.state, char)


class OneOf:
    """One of several texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = tuple(f" {text.strip()}" for text in texts)  # as the layout writes answers
        self.key = self.texts
        self.start: State = ("",)

    def step(self, state: State, char: str) -> State | None:
        text = f"{state[0]}{char}"
        return (text,) if any(one.startswith(text) for one in self.texts) else None

    def is_end(self, state: State) -> bool:
        return state[0] in self.texts


class OneOfTokens:
    """One of several sequences of tokens along one answer, as `Constraint`: for any tokenizer, also one whose tokens
    are no pieces of text by themselves."""

    def __init__(self, answers: Sequence[Sequence[int]]) -> None:
        self._left = [tuple(ids) for ids in answers]  # what may still follow

    def allowed(self, end_ids: set[int]) -> list[int]:
        """The tokens that may come next; at an end, those that end the answer as well."""
        next_ids = {ids[0] for ids in self._left if ids}
        return [*next_ids, *end_ids] if () in self._left else [*next_ids]

    def advance(self, id: int) -> None:
        """A token has been written."""
        self._left = [ids[1:] for ids in self._left if ids and ids[0] == id]


Box = tuple[str, str, str, str]  # left, top, width, height as they are written
Region = tuple[str, Box]  # what the vision tower proposes: a label and a box
NUMBER = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")  # or the beginning of one, from 0.000 to 1.000
DIGITS = 5  # characters of a whole number


class Boxes:
    """`{"objects": [{"label": "dog", "bbox": [0.100, 0.200, 0.300, 0.400]}]}`, with a blank in front.

    With `regions`, each object is one of these, and none is written twice; with `labels`, each label is one of these.
    """

    OPEN, AGAIN, CLOSE = ' {"objects": [', ', {"label": "', "]}"
    FIRST, NUMBERS_OPEN = '{"label": "', '", "bbox": ['

    def __init__(self, regions: Sequence[Region] | None = None, labels: Sequence[str] | None = None) -> None:
        self.regions = None if regions is None else tuple(regions)
        self.labels = None if labels is None else tuple(labels)
        self.key = (self.regions, self.labels)
        left = None
        if regions is not None:
            left = tuple(n for n, (label, _) in enumerate(regions) if labels is None or label in labels)
        # (what is being written, how much of it, regions that are left, the present object as far as it is whole)
        self.start: State = ("open", "", left, ())

    def is_end(self, state: State) -> bool:
        return state[0] == "end"

    def step(self, state: State, char: str) -> State | None:
        part, text, left, box = state
        text += char
        if part == "open":
            return self._literal(self.OPEN, text, state, ("first", "", left, ()))
        if part in ("first", "again"):  # an object, or the end of the list
            more = {"first": self.FIRST, "again": self.AGAIN}[part]
            if left != () and more.startswith(text):
                return ("label", "", left, ()) if text == more else (part, text, left, ())
            if self.CLOSE.startswith(text):
                return ("end", "", (), ()) if text == self.CLOSE else (part, text, left, ())
            return None
        if part == "label":
            return self._label(text, left)
        if part == "between":
            return self._literal(self.NUMBERS_OPEN, text, state, ("number", "", left, box))
        if part == "number":
            return self._number(text, left, box)
        if part == "comma":
            return self._literal(", ", text, state, ("number", "", left, box))
        if part == "closing":
            return self._literal("]}", text, state, ("again", "", left, ()))
        return None

    def _label(self, text: str, left: tuple[int, ...] | None) -> State | None:
        """The state behind the beginning `text` of a label, the closing quotation mark included."""
        known = self.labels if left is None else {self.regions[n][0] for n in left}
        if text.endswith('"') and len(text) > 1 and (known is None or text[:-1] in known):
            return ("between", '"', left, () if left is None else (text[:-1],))
        if known is not None:
            return ("label", text, left, ()) if any(label.startswith(text) for label in known) else None
        plain = text[-1].isprintable() and text[-1] not in '"\\' and len(text) <= MAX_LABEL
        return ("label", "x" * len(text), left, ()) if plain else None  # which letters changes nothing

    def _number(self, text: str, left: tuple[int, ...] | None, box: tuple[str, ...]) -> State | None:
        place = len(box) - (left is not None)
        if left is None:  # then what the numbers are changes nothing of what may follow
            if not NUMBER.fullmatch(text):
                return None
            whole, written = len(text) == DIGITS, ""
        else:
            fitting = [self._flat(n)[place + 1] for n in left if self._flat(n)[: place + 1] == box][:1]
            if not any(number.startswith(text) for number in fitting):
                return None
            whole, written = text in fitting, text
        if not whole:
            return ("number", text, left, box)
        box = (*box, written)
        if place < 3:
            return ("comma", "", left, box)
        if left is not None:
            done = next(n for n in left if self._flat(n) == box)
            left = tuple(n for n in left if n != done)
        return ("closing", "", left, ())

    def _flat(self, number: int) -> tuple[str, ...]:
        label, box = self.regions[number]
        return (label, *box)

    @staticmethod
    def _literal(literal: str, text: str, state: State, then: State) -> State | None:
        if not literal.startswith(text):
            return None
        return then if text == literal else (state[0], text, *state[2:])
