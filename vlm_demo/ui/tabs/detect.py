"""The Detect tab: boxes on the picture, the raw text beside what was read from it, a filter, and downloads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from vlm_demo import images
from vlm_demo.detection import Parsed, parse_written
from vlm_demo.images import LoadedImage
from vlm_demo.tasks import TASKS

from .. import downloads, words
from ..common import QUICK, Page, Updates, clear_when_new, handler, run_row, settings_panel
from ..hover import HoverImage, overlay
from ..jobs import named_in
from ..pictures import for_display, load_pictures
from ..pointing import box_row
from ..runs import Run, Sources, in_thread

WAITING = '<p class="empty">What was read from the text is shown here.</p>'


def report(parsed: Parsed) -> str:
    """The table and the report in words; a failed reading and an empty scene look different."""
    if parsed.failed:
        return words.notice(f"{parsed.report}. The model's own text stands beside this.", bad=True)
    if not parsed.report.read:
        return f'<p class="answer">{escape(str(parsed.report))}.</p>'
    return words.boxes(parsed.objects, size=parsed.size) + words.report(parsed)


def filtered(answered: downloads.Found | None, names: list[str], threshold: float) -> Parsed | None:
    """The boxes that the filters let through."""
    return answered and answered.parsed.only(names).above(threshold)


def named(page: Page, model: str) -> Any:
    """The field for what is looked for, off where a model finds everything or nothing."""
    able = page.engine.capabilities(model).named_objects
    return gr.update(interactive=True) if able else gr.update(interactive=False, value="")


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
    drawing = [drawn, table, *buttons]

    def draw(answered: downloads.Found, parsed: Parsed, picture: LoadedImage) -> Updates:
        return {
            drawn: overlay(picture, parsed),
            table: report(parsed),
            **dict(zip(buttons, downloads.files(answered, parsed, picture, drawn.GRADIO_CACHE), strict=True)),
        }

    def blank() -> Updates:
        return {
            raw: "",
            line: "",
            reply: "",
            table: WAITING,
            drawn: None,
            answered: None,
            labels: gr.update(visible=False),
            sure: gr.update(visible=False),
            offers: gr.update(visible=False),
        }

    async def work(run: Run, sources: Sources, what: str, *values: Any) -> AsyncIterator[Updates]:
        yield blank()
        [picture] = await in_thread(load_pictures, sources)
        size = picture.original_size
        yield {drawn: (for_display(picture), [])}
        whole = 0  # objects that were complete when the boxes were drawn last
        settings, stream = panel.read(*values), page.engine.detect_stream
        async for _, result in run.follow(partial(stream, picture, settings, run.session, run.model, named_in(what))):
            updates = {raw: result.text, line: words.quiet(result)}
            written = parse_written(result.text, picture.size)
            if result.finish_reason == "running" and len(written.objects) > whole:
                whole = len(written.objects)
                updates |= {
                    drawn: await in_thread(overlay, picture, written),
                    table: words.boxes(written.objects, size=size),
                }
            yield updates
        answer = downloads.Found.of(sources[0], size, result, page.engine.description(run.model).labels)
        names = answer.parsed.labels
        threshold = page.engine.description(run.model).threshold
        rated = any(item["confidence"] is not None for item in answer.parsed.objects)
        yield {
            answered: answer,
            reply: "",  # words for a box that a run in between may have left
            sure: gr.update(value=threshold, visible=rated),
            labels: gr.update(choices=names, value=names, visible=len(names) > 1),
            offers: gr.update(visible=not answer.parsed.failed),
            row.notice: page.outside([result], run.model),
            **await in_thread(draw, answer, answer.parsed.above(threshold), picture),
        }

    inputs = [what, *panel.inputs]
    running, needed = handler(page, row, work, inputs), [*page.images.inputs, *inputs]
    outputs = [*row.outputs, raw, line, reply, labels, sure, offers, answered, *drawing]
    page.on([row.run.click, what.submit], running, needed, outputs)
    page.unasked[row.tab] = (running, needed, outputs)
    clear_when_new(page, row, blank)

    def only(answered: downloads.Found | None, names: list[str], threshold: float) -> Updates:
        if answered is None:
            return {table: gr.skip()}
        return draw(answered, filtered(answered, names, threshold), images.load(answered.source))

    for filters in (labels.input, sure.release):
        filters(only, [answered, labels, sure], drawing, **QUICK)
