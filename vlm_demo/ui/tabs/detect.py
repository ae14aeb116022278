"""The Detect tab: boxes on the image, the raw text beside what was read from it, a filter, and downloads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from vlm_demo import images
from vlm_demo.detection import Parsed, parse_written
from vlm_demo.images import LoadedImage
from vlm_demo.tasks import TASKS

from .. import downloads, words
from ..common import QUICK, Page, RunRow, Unasked, Updates, clear_when_new, handler, run_row
from ..hover import HoverImage, overlay
from ..image_components import for_display, load_images
from ..jobs import named_in
from ..pointing import box_row
from ..runs import Run, Sources, in_thread
from ..settings import read_settings, settings_panel

WAITING = '<p class="empty">What was read from the text is shown here.</p>'


def report(parsed: Parsed) -> str:
    """The table and the report in words; a failed reading and an empty scene look different."""
    if parsed.failed:
        return words.notice(f"{parsed.report}. The model's own text stands beside this.", bad=True)
    if not parsed.report.read:
        return f'<p class="answer">{escape(str(parsed.report))}.</p>'
    return words.boxes(parsed.objects, size=parsed.size) + words.report(parsed)


def filtered(answered: downloads.Detected | None, names: list[str], threshold: float) -> Parsed | None:
    """The boxes that the filters let through."""
    return answered and answered.parsed.only(names).above(threshold)


def named(page: Page, model: str) -> Any:
    """The field for what is looked for, off where a model finds everything or nothing."""
    able = page.engine.capabilities(model).named_objects
    return gr.update(interactive=True) if able else gr.update(interactive=False, value="")


@dataclass
class DetectTab:
    """The components that the listeners write to; `answered` holds the last answer, `buttons` are the downloads."""

    page: Page
    row: RunRow
    drawn: HoverImage
    line: gr.HTML
    raw: gr.Textbox
    table: gr.HTML
    reply: gr.HTML
    answered: gr.State
    labels: gr.CheckboxGroup
    sure: gr.Slider
    offers: gr.Row
    buttons: list[gr.DownloadButton]

    @property
    def drawing(self) -> list[gr.components.Component]:
        """What changes with the filters."""
        return [self.drawn, self.table, *self.buttons]

    def draw(self, answered: downloads.Detected, parsed: Parsed, image: LoadedImage) -> Updates:
        """Some of the boxes of an answer, drawn, as a table and as files."""
        files = downloads.files(answered, parsed, image, self.drawn.GRADIO_CACHE)
        return {
            self.drawn: overlay(image, parsed),
            self.table: report(parsed),
            **dict(zip(self.buttons, files, strict=True)),
        }

    def only(self, answered: downloads.Detected | None, names: list[str], threshold: float) -> Updates:
        """The boxes that the filters let through."""
        if answered is None:
            return {self.table: gr.skip()}
        return self.draw(answered, filtered(answered, names, threshold), images.load(answered.source))

    def blank(self) -> Updates:
        """An empty tab."""
        return {
            self.raw: "",
            self.line: "",
            self.reply: "",
            self.table: WAITING,
            self.drawn: None,
            self.answered: None,
            self.labels: gr.update(visible=False),
            self.sure: gr.update(visible=False),
            self.offers: gr.update(visible=False),
        }

    async def work(self, run: Run, sources: Sources, what: str, *values: Any) -> AsyncIterator[Updates]:
        """Find objects; each box is drawn as soon as it is complete."""
        yield self.blank()
        [image] = await in_thread(load_images, sources)
        size = image.original_size
        yield {self.drawn: (for_display(image), [])}
        whole = 0  # objects that were complete when the boxes were drawn last
        settings, stream = read_settings(*values), self.page.engine.detect_stream
        async for _, result in run.follow(partial(stream, image, settings, run.session, run.model, named_in(what))):
            updates = {self.raw: result.text, self.line: words.quiet(result)}
            written = parse_written(result.text, image.size)
            if result.finish_reason == "running" and len(written.objects) > whole:
                whole = len(written.objects)
                updates |= {
                    self.drawn: await in_thread(overlay, image, written),
                    self.table: words.boxes(written.objects, size=size),
                }
            yield updates
        about = self.page.engine.description(run.model)
        answer = downloads.Detected.of(sources[0], size, result, about.labels)
        names = answer.parsed.labels
        rated = any(item["confidence"] is not None for item in answer.parsed.objects)
        yield {
            self.answered: answer,
            self.reply: "",  # words for a box that a run in between may have left
            self.sure: gr.update(value=about.threshold, visible=rated),
            self.labels: gr.update(choices=names, value=names, visible=len(names) > 1),
            self.offers: gr.update(visible=not answer.parsed.failed),
            self.row.notice: self.page.outside([result], run.model),
            **await in_thread(self.draw, answer, answer.parsed.above(about.threshold), image),
        }


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    what = gr.Textbox(
        label="Only this",
        placeholder="Everything, or for example: dogs, the person on the left",
        max_lines=1,
        elem_id="detect-what",
        interactive=page.engine.capabilities().named_objects,
    )
    page.follow(what, lambda model: named(page, model))
    row = run_row(page, "detect", "Find the objects", single=True)
    drawn = HoverImage(
        label="Found",
        height=420,
        show_legend=True,
        buttons=["fullscreen"],
        elem_classes="answer-place",
        elem_id="detect-drawn",
    )
    line = gr.HTML(elem_classes="line", elem_id="detect-line")
    with gr.Row(elem_classes="text-and-table"):
        with gr.Column(scale=2, min_width=200):
            raw = gr.Textbox(
                label="The model's own text",
                lines=4,
                max_lines=12,
                interactive=False,
                buttons=["copy"],
                elem_classes="raw",
                elem_id="detect-raw",
            )
        with gr.Column(scale=3, min_width=260):
            table = gr.HTML(WAITING, elem_id="detect-table")
    row.notice.render()
    labels = gr.CheckboxGroup([], label="Show only", visible=False, elem_id="detect-labels")
    sure = gr.Slider(
        0, 1, 0, step=0.01, label="Confidence from", visible=False, elem_id="detect-sure", interactive=True
    )
    answered = gr.State(None)
    reply = box_row(page, row, drawn, [answered, labels, sure], filtered)
    with gr.Row(elem_classes="row-of-buttons", visible=False) as offers:
        gr.HTML('<span class="lead">Download</span>')
        buttons = [
            gr.DownloadButton(name, size="sm", elem_id=f"detect-{name.split()[0].lower()}") for name in downloads.NAMES
        ]
    with gr.Accordion("Settings", open=False):
        panel = settings_panel("detect", TASKS["detect"].max_new_tokens)
    tab = DetectTab(page, row, drawn, line, raw, table, reply, answered, labels, sure, offers, buttons)
    inputs = [what, *panel]
    running, needed = handler(page, row, tab.work, inputs), [*page.images.inputs, *inputs]
    outputs = [*row.outputs, raw, line, reply, labels, sure, offers, answered, *tab.drawing]
    page.on([row.run.click, what.submit], running, needed, outputs)
    page.unasked[row.tab] = Unasked(running, needed, outputs)
    clear_when_new(page, row, tab.blank)
    for filters in (labels.input, sure.release):
        filters(tab.only, [answered, labels, sure], tab.drawing, **QUICK)
