"""Two models side by side, as HTML: whose answer it is, where boxes agree, sizes and times, who has won how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from PIL import Image

from vlm_demo.detection import Parsed
from vlm_demo.results import Result
from vlm_demo.versus import Place, Speed, Vote

from . import words
from .common import Page
from .marks import Mark, figure
from .worlds import title

NAMES = ("Left", "Right")
AGREE = {"both": "both agree", "renamed": "another label", "left": "only left", "right": "only right"}
WAITS = '<p class="quiet">Waits until the other one has finished, so that neither slows the other down.</p>'


@dataclass(frozen=True)
class Side:
    """What one of the two models does: its result so far, or why it could not answer; and its answer as HTML."""

    model: str
    result: Result | None = None
    body: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class Duel:
    """Two answers to one request. While it is `hidden`, nobody shall see whose they are."""

    sides: tuple[Side, Side]
    hidden: bool

    def having(self, number: int, side: Side) -> Duel:
        """The same with another side 0 or 1."""
        left, right = self.sides
        return replace(self, sides=(side, right) if number == 0 else (left, side))

    @property
    def whole(self) -> bool:
        """Whether both have answered to the end."""
        results = [side.result for side in self.sides]
        return all(one is not None and one.finish_reason in ("stop", "length") for one in results)


def view(page: Page, duel: Duel, number: int) -> str:
    """One side as HTML: whose it is, the answer, and how it came about."""
    side = duel.sides[number]
    name = NAMES[number] if duel.hidden else f"{NAMES[number]}: {title(page, side.model)}"
    parts = [f"<h2>{escape(name)}</h2>"]
    if side.trouble:
        trouble = side.trouble
        for secret in (page.engine.name(side.model), title(page, side.model)) if duel.hidden else ():
            trouble = trouble.replace(secret, "This model")
        parts.append(words.notice(trouble, bad=True))
    elif side.result is None:
        parts.append(WAITS)
    else:
        parts.append(side.body)
        if duel.hidden:  # times and how sure it is would tell who it is
            stage = words.facts(side.result)[0] if side.result.finish_reason == "running" else "Done."
            parts.append(f'<p class="quiet">{escape(stage)}</p>')
        else:
            parts += [words.quiet(side.result, spoken=False), page.outside([side.result], side.model)]
    return "".join(parts)


def marks(matches: Sequence[Place], number: int) -> list[Mark]:
    """The boxes of one side: whether the other side has them is told in words and by the line."""
    drawn = []
    for row, place in enumerate(matches, 1):
        item = (place.left, place.right)[number]
        if item is not None:
            kind = place.kind if place.kind in ("both", "renamed") else "alone"
            drawn.append(Mark(f"{row} {item['label']}", item["bbox"], kind))
    return drawn


def drawing(image: Image.Image, parsed: Parsed, drawn: Sequence[Mark]) -> str:
    """The boxes of one side over the image; a text that holds no boxes is shown as it is."""
    if parsed.failed:
        return words.notice(f"{parsed.report}.", bad=True)
    return figure(image, drawn, str(parsed.report), "The image with the boxes of this model")


def agreement(matches: Sequence[Place]) -> str:
    """Where the boxes agree and differ, as a table."""
    rows = []
    for row, place in enumerate(matches, 1):
        labels = [escape(str(item["label"])) if item is not None else "–" for item in (place.left, place.right)]
        rows.append([str(row), *labels, "–" if place.iou is None else f"{place.iou:.2f}", AGREE[place.kind]])
    same = sum(place.kind == "both" for place in matches)
    head = f"{same} of {len(matches)} places the same"
    return words.table(head, ["Place", *NAMES, "Overlap (IoU)", "Who sees it"], rows)


def figures(page: Page, duel: Duel) -> str:
    """Sizes and times beside each other."""
    columns = []
    for side in duel.sides:
        speed, size = Speed.of(side.result), page.engine.parameters(side.model)
        columns.append(
            [
                "not told" if size is None else f"{size / 1e6:,.1f} M",
                f"{speed.first_ms:,.0f} ms",
                "–" if speed.per_second is None else f"{speed.per_second:,.0f}",
                str(side.result.new_tokens),
                f"{speed.seconds:.2f} s",
            ]
        )
    names = ("Parameters", "First token after", "Tokens a second", "Tokens", "Whole answer")
    head = ["Figure", *(title(page, side.model) for side in duel.sides)]
    return words.table("Sizes and times", head, [list(row) for row in zip(names, *columns, strict=True)])


def heard(duel: Duel) -> str:
    """What a screen reader says when both have answered."""
    texts = [str(side.result.parsed.report) if side.result.parsed else side.result.text for side in duel.sides]
    return " ".join(f"{name}: {text}." for name, text in zip(NAMES, texts, strict=True))


def tally(votes: Sequence[Vote]) -> str:
    """How often each model has won so far."""
    wins: dict[str, int] = {}
    for one in votes:
        for model in (one.left, one.right):
            wins[model] = wins.get(model, 0) + (one.winner == model)
    count = f"{len(votes)} vote{'' if len(votes) == 1 else 's'}"
    return f"{count}; won: " + ", ".join(f"{escape(model)} {won}" for model, won in wins.items())
