"""Whether a question reads like those that a model was trained on, and whether its answer to it is to be trusted.

A model answers a question in words it never learned with almost as much confidence as any other. So several things are
looked at together: how surprising the question's words are to a small language model of the training questions (pairs
of words, hashed, with back-off to single words), how sure the model was of its answer, how long that is, and whether it
misses something that nobody asked about. A logistic curve over them, fitted by `train.evaluation.unfamiliar` on
wordings that training never saw, tells how probably the answer is wrong.

`questions.safetensors` beside a checkpoint's weights holds the counts, the curve and the threshold.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from vlm_demo.results import Token

FILE = "questions.safetensors"
SINGLES, PAIRS = 1 << 13, 1 << 16  # rows of the tables of single words and of pairs
SIGNALS = 7  # that the curve is over
BACK_OFF = 2.0  # how many sightings of a word outweigh what is known of single words
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_MISSES = re.compile(r"there (?:is|are) no (.+?)\.?$")
START, END = "<s>", "</s>"


def question_words(text: str) -> list[str]:
    """The words of a question, in small letters."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def _row(text: str, rows: int) -> int:
    return zlib.crc32(text.encode()) % rows


def count_words(questions: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """How often words and pairs of words stand in questions: [SINGLES] and [PAIRS], by hash."""
    import numpy as np

    singles, pairs = np.zeros(SINGLES, np.float32), np.zeros(PAIRS, np.float32)
    for question in questions:
        words = [START, *question_words(question), END]
        for before, word in zip(words, words[1:], strict=False):
            singles[_row(word, SINGLES)] += 1
            pairs[_row(f"{before} {word}", PAIRS)] += 1
    return singles, pairs


def _mentions(question: str, thing: str) -> bool:
    """Whether a question has one of the words of a thing, in the singular or the plural."""
    asked = question_words(question)
    return any(word[:4] == other[:4] for word in question_words(thing) for other in asked)


@dataclass(frozen=True)
class Familiarity:
    """
    Args:
        singles: Sightings of single words in training questions, by hash, `[SINGLES]`.
        pairs: Sightings of pairs of neighbouring words, by hash, `[PAIRS]`.
        weights: Of `signals`, with a bias in front.
        threshold: Log odds of a wrong answer from which the notice is shown.
    """

    singles: Any
    pairs: Any
    weights: tuple[float, ...] = ()
    threshold: float = math.inf

    def surprise(self, question: str) -> tuple[float, float]:
        """Mean and greatest negative logarithm of the probability of a question's words, each after the one before."""
        words = [START, *question_words(question), END]
        total = float(self.singles.sum())
        logs = []
        for before, word in zip(words, words[1:], strict=False):
            seen = total / 8 if before == START else float(self.singles[_row(before, SINGLES)])
            alone = (float(self.singles[_row(word, SINGLES)]) + 0.1) / (total + 0.1 * SINGLES)
            pair = float(self.pairs[_row(f"{before} {word}", PAIRS)])
            logs.append(-math.log((pair + BACK_OFF * alone) / (seen + BACK_OFF)))
        return sum(logs) / len(logs), max(logs)

    def signals(self, question: str, tokens: Sequence[Token]) -> list[float]:
        """What the curve is over: surprise at the question (mean, greatest), doubt in the answer (mean, greatest, about
        the first token), its length, and whether it misses what was not asked about."""
        doubts = [-math.log(max(token.probability, 1e-6)) for token in tokens] or [0.0]
        missed = _MISSES.match("".join(token.text for token in tokens).strip().lower())
        return [
            *self.surprise(question),
            *(math.log(doubt + 1e-3) for doubt in (sum(doubts) / len(doubts), max(doubts), doubts[0])),
            math.log(len(doubts)),
            float(missed is not None and not _mentions(question, missed[1])),
        ]

    def score(self, question: str, tokens: Sequence[Token]) -> float:
        """Log odds that the answer is wrong."""
        bias, *weights = self.weights
        return bias + sum(w * s for w, s in zip(weights, self.signals(question, tokens), strict=True))

    def is_unfamiliar(self, question: str, tokens: Sequence[Token]) -> bool:
        """Whether the answer should carry the notice."""
        return bool(self.weights) and self.score(question, tokens) > self.threshold


def read_familiarity(folder: Path | str | None) -> Familiarity | None:
    """The score in a checkpoint's folder, None where there is none, or one over other signals than ours."""
    file = Path(folder or "", FILE)
    if folder is None or not file.is_file():
        return None
    from safetensors.numpy import load_file

    held = load_file(file)
    if len(held["weights"]) != SIGNALS + 1:
        return None
    return Familiarity(held["singles"], held["pairs"], tuple(held["weights"].tolist()), float(held["threshold"].item()))
