"""Tokens to text, once each; and the texts that end an answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from vlm_demo.results import Token
from vlm_demo.runners.base import ModelRunner, TokenOutput


class Detokenizer:
    """The text of one answer as it grows. The worker and whoever watches may both feed it, with the same outputs."""

    def __init__(self, runner: ModelRunner, stop: Sequence[str] = ()) -> None:
        """The first of the texts in `stop` that is written ends the answer, which keeps what came before it."""
        self._runner, self._stop = runner, stop
        self._lock = threading.Lock()
        self._ids: list[int] = []
        self._tokens: list[Token] = []
        self._context, self._read = 0, 0  # where the ids begin that give context, and those that are no text yet
        self._text = ""
        self._end: int | None = None  # where in the text a stop text begins

    def feed(self, outputs: Sequence[TokenOutput]) -> int | None:
        """Turn what is new in `outputs` into text; returns after how many tokens a stop text was whole, if one was."""
        with self._lock:
            for output in outputs[len(self._tokens) :]:
                if output.end or self._end is not None:
                    break
                self._add(output)
            return None if self._end is None else len(self._tokens)

    def tokens(self, finished: bool) -> list[Token]:
        """The tokens without the stop text; while more may come, also without what may become the start of one."""
        with self._lock:
            if self._end is not None:
                return self._first(self._end)
            return list(self._tokens) if finished else self._first(len(self._text) - self._pending())

    def _add(self, output: TokenOutput) -> None:
        """A token that ends within a character has empty text; the one that completes it has the whole of it."""
        self._ids.append(output.id)
        before = self._runner.text(self._ids[self._context : self._read])
        after = self._runner.text(self._ids[self._context :])
        text = ""
        if len(after) > len(before) and not after.endswith("\ufffd"):
            text = after[len(before) :]
            self._context, self._read = self._read, len(self._ids)
        if not self._text:
            text = text.lstrip()
        top = [(self._runner.token_text(id), probability) for id, probability in output.top]
        self._tokens.append(Token(output.id, text, output.probability, top))
        start = max(0, len(self._text) - max(map(len, self._stop), default=0))
        self._text += text
        ends = [at for stop in self._stop if (at := self._text.find(stop, start)) >= 0]
        self._end = min(ends, default=None)

    def _pending(self) -> int:
        """How many of the last characters a stop text could begin with."""
        most = min(max(map(len, self._stop), default=1) - 1, len(self._text))
        return next((n for n in range(most, 0, -1) if any(s.startswith(self._text[-n:]) for s in self._stop)), 0)

    def _first(self, characters: int) -> list[Token]:
        """The tokens up to a character, the last of them cut where need be."""
        kept = []
        for token in self._tokens:
            if characters <= 0:
                break
            kept.append(replace(token, text=token.text[:characters]))
            characters -= len(token.text)
        return kept
