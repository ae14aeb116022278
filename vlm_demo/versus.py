"""Two answers to one request, side by side: where their boxes agree, how fast each came, and what a person thinks."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from vlm_demo.detection.matching import iou, match
from vlm_demo.results import Result

MOST_VOTES = 500  # of one visitor; the oldest go first
MOST_CHARACTERS = 1000  # of a prompt or an answer in a vote
VERDICTS = {"left": "Left", "right": "Right", "tie": "A tie", "bad": "Both are bad"}

Object = Mapping[str, Any]  # one of `Parsed.objects`


@dataclass(frozen=True)
class Place:
    """One thing in an image as two models see it: an object of each, or of one where the other has none there."""

    left: Object | None
    right: Object | None

    @property
    def kind(self) -> str:
        """ "both" where they agree, "renamed" where they give the same place different labels, "left" or "right" where
        only that one has a box."""
        if self.left is None or self.right is None:
            return "right" if self.left is None else "left"
        return "both" if self.left["label"] == self.right["label"] else "renamed"

    @property
    def iou(self) -> float | None:
        """How much the two boxes overlap; None where there is only one."""
        return None if self.left is None or self.right is None else iou(self.left["bbox"], self.right["bbox"])


def places(left: Sequence[Object], right: Sequence[Object]) -> list[Place]:
    """Where two models' objects agree and differ, agreements first.

    Boxes that overlap enough (see `match`) are one thing: first among those of one label, then among the rest whatever
    their labels. What is left over only one of the two has seen.
    """
    matched: list[Place] = []
    for labelled in (True, False):
        paired = match(
            [one if labelled else {**one, "label": ""} for one in left],
            [(one["label"] if labelled else "", one["bbox"]) for one in right],
        )
        matched += [Place(one, right[n]) for one, n in zip(left, paired, strict=True) if n is not None]
        left = [one for one, n in zip(left, paired, strict=True) if n is None]
        right = [one for n, one in enumerate(right) if n not in paired]
    return [*matched, *(Place(one, None) for one in left), *(Place(None, one) for one in right)]


@dataclass(frozen=True)
class Speed:
    """How fast a finished answer came; without the time in the queue, which is not the model's.

    `first_ms` is from reading the image to the first token, `per_second` counts the tokens after it (None where there
    are none), `seconds` is the whole.
    """

    first_ms: float
    per_second: float | None
    seconds: float

    @classmethod
    def of(cls, result: Result) -> Speed:
        timings = result.timings
        later = result.new_tokens - 1
        return cls(
            first_ms=1000 * (timings.encode + timings.prefill),
            per_second=later / timings.decode if later > 0 and timings.decode > 0 else None,
            seconds=timings.total - timings.queue,
        )


@dataclass(frozen=True)
class Vote:
    """What a person thought of two answers. `verdict` is a key of VERDICTS, `winner` the better model or "";
    `blind`: the names were hidden until then."""

    time: str
    task: str
    prompt: str
    left: str
    right: str
    left_answer: str
    right_answer: str
    verdict: str
    winner: str
    blind: bool


def vote(left: Result, right: Result, verdict: str, blind: bool) -> Vote:
    """A vote on two finished answers to one request, now."""
    return Vote(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        task=left.task,
        prompt=left.prompt[:MOST_CHARACTERS],
        left=left.model,
        right=right.model,
        left_answer=left.text[:MOST_CHARACTERS],
        right_answer=right.text[:MOST_CHARACTERS],
        verdict=verdict,
        winner={"left": left.model, "right": right.model}.get(verdict, ""),
        blind=blind,
    )


def kept(votes: Sequence[Vote], new: Vote) -> list[Vote]:
    """The votes of a visitor with a new one; of too many, the oldest go."""
    return [*votes, new][-MOST_VOTES:]


def votes_json(votes: Sequence[Vote]) -> str:
    """The votes as a list of objects."""
    return json.dumps([asdict(one) for one in votes], ensure_ascii=False, indent=2)


def votes_csv(votes: Sequence[Vote]) -> str:
    """The votes as a table with a line a vote. A text that a spreadsheet would take for a formula gets a mark before
    it."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow([field.name for field in fields(Vote)])
    for one in votes:
        cells = asdict(one).values()
        table.writerow([f"'{cell}" if str(cell).startswith(("=", "+", "-", "@")) else cell for cell in cells])
    return buffer.getvalue()
