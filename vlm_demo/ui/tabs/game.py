"""The Game tab: a scene whose truth is known, the model's boxes beside the true ones, and a running score."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import Any

import gradio as gr
from PIL import Image

from vlm_demo import scenes
from vlm_demo.detection import Parsed, match, parse_written
from vlm_demo.results import SamplingParameters

from .. import draws, words
from ..common import Page, RunRow, Unasked, Updates, handler, run_row
from ..marks import Mark, figure
from ..runs import Run, Sources

# What is drawn, from easy to hard: how many objects are tried, in which of the world's looks, and how that is called.
LEVELS = (
    (1, "any", "one object"),
    (3, "any", "three objects"),
    (5, "any", "five objects"),
    (6, "heldout", "six objects in colours that it never saw them in"),
    (9, "any", "nine objects, more than it ever saw"),
    (12, "heldout", "as many as fit, in colours that it never saw them in"),
)
INVITATION = (
    '<p class="empty">The model looks for the objects of a drawn scene, then the truth is shown: '
    "what it found, what it missed, and what it only believed to see.</p>"
)


@dataclass(frozen=True)
class Score:
    """What one visitor has seen so far; `level` is a place in LEVELS."""

    level: int = 1
    rounds: int = 0
    perfect: int = 0
    found: int = 0
    missed: int = 0
    wrong: int = 0

    def after(self, found: int, missed: int, wrong: int) -> Score:
        """The score with one more scene."""
        return replace(
            self,
            rounds=self.rounds + 1,
            perfect=self.perfect + (not missed and not wrong),
            found=self.found + found,
            missed=self.missed + missed,
            wrong=self.wrong + wrong,
        )

    def __str__(self) -> str:
        scenes = f"{self.rounds} scene{'' if self.rounds == 1 else 's'}"
        return (
            f"Score: {self.found} of {self.found + self.missed} found and {self.wrong} wrong in {scenes}, "
            f"{self.perfect} of them without a mistake."
        )


def player(page: Page, model: str | None = None) -> str | None:
    """The model that plays: the visitor's own where it knows icon scenes, else one that does; None where none does."""
    for one in [model or page.engine.model, *page.engine.models]:
        if page.engine.description(one).samples == draws.SCENES:
            return one
    return None


def judge(parsed: Parsed, scene: scenes.Scene) -> tuple[list[Mark], list[Mark]]:
    """The true boxes, found or missed, and the model's, right or wrong."""
    matched = match(parsed.objects, [(item.label, item.bbox) for item in scene.objects])
    truth = [
        Mark(item.name, item.bbox, "right") if number in matched else Mark(f"missed: {item.name}", item.bbox, "missed")
        for number, item in enumerate(scene.objects)
    ]
    predicted = []
    for item, number in zip(parsed.objects, matched, strict=True):
        right = number is not None
        predicted.append(
            Mark(item["label"] if right else f"wrong: {item['label']}", item["bbox"], "right" if right else "wrong")
        )
    return truth, predicted


def board(image: Image.Image, marks: Sequence[Mark], truth: Sequence[Mark] | None = None) -> str:
    """The model's boxes, and the truth beside them once it is told."""
    shown = figure(image, marks, "The model", "The scene with the model's boxes")
    if truth is not None:
        shown += figure(image, truth, "The truth", "The scene with the true boxes")
    return f'<div class="board">{shown}</div>'


@dataclass
class GameTab:
    """The components that a round writes to; `kept` holds the visitor's score."""

    page: Page
    row: RunRow
    kept: gr.State
    shown: gr.HTML
    line: gr.HTML
    easier: gr.Button
    harder: gr.Button

    async def work(self, run: Run, sources: Sources, score: Score, by: int = 0) -> AsyncIterator[Updates]:
        """One scene, `by` levels harder than the last: the model's boxes as it writes them, then the truth."""
        level = min(max(score.level + by, 0), len(LEVELS) - 1)
        now = replace(score, level=level)
        objects, looks, name = LEVELS[level]
        scene = scenes.make_scene(draws.fresh_seed(), looks, objects)
        image = scene.image(draws.SIZE)
        level_line = f'<p class="quiet">Level {level + 1} of {len(LEVELS)}: {escape(name)}</p>'
        ends = {
            self.easier: gr.update(interactive=level > 0),
            self.harder: gr.update(interactive=level < len(LEVELS) - 1),
        }
        yield {self.kept: now, self.shown: board(image, []), self.line: level_line, **ends}
        model = player(self.page, run.model)
        whole = 0
        start = partial(self.page.engine.detect_stream, image, SamplingParameters(), run.session, model)
        async for _, result in run.follow(start):
            written = parse_written(result.text, image.size).objects
            if len(written) > whole:
                whole = len(written)
                yield {self.shown: board(image, [Mark(item["label"], item["bbox"]) for item in written])}
        if result.finish_reason == "cancelled":
            return
        truth, predicted = judge(result.parsed, scene)
        right, wrong = (sum(mark.kind == kind for mark in predicted) for kind in ("right", "wrong"))
        now = now.after(right, len(truth) - right, wrong)
        verdict = f"{right} of {len(truth)} found" + (f", {wrong} wrong" if wrong else "") + "."
        yield {
            self.kept: now,
            self.shown: board(image, predicted, truth),
            self.line: f'<p role="status"><b>{verdict}</b> {escape(str(now))}</p>{level_line}',
            **ends,  # again: the last word of a run that this one has replaced may have come in between
        }
        if result.parsed.failed:
            yield {self.row.notice: words.notice(f"{result.parsed.report}.", bad=True)}


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    kept = gr.State(Score())
    row = run_row(page, "game", "Next scene")
    with gr.Row(elem_classes="row-of-buttons"):
        easier = gr.Button("Easier", size="sm", elem_id="game-easier")
        harder = gr.Button("Harder", size="sm", elem_id="game-harder")
    line = gr.HTML(elem_id="game-line")
    shown = gr.HTML(INVITATION, elem_classes="answer-place", elem_id="game-board")
    row.notice.render()

    outputs = [*row.outputs, kept, shown, line, easier, harder]
    running = handler(page, row, GameTab(page, row, kept, shown, line, easier, harder).work, [kept])
    needed = [*page.images.inputs, kept]
    page.on([row.run.click], running, needed, outputs)
    page.unasked[row.tab] = Unasked(running, needed, outputs, lambda model, values: [player(page, model)])
    for button, by in ((easier, -1), (harder, 1)):

        async def play(request: gr.Request, *values: Any, by: int = by) -> AsyncIterator[Updates]:
            async for updates in running(request, *values, by=by):
                yield updates

        page.on([button.click], play, needed, outputs)
