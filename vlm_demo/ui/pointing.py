"""Words for what is in a box: a box that has been drawn is clicked, or four numbers are given."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from vlm_demo.detection import Parsed, pixels
from vlm_demo.results import EngineError

from . import words
from .common import QUICK, Page, RunRow, Updates, handler
from .image_components import load_images
from .runs import Run, Sources, in_thread

Shown = Callable[..., Parsed | None]  # from the values of a tab's filters to the boxes that are shown
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def read_box(text: str, size: tuple[int, int]) -> list[float]:
    """Four numbers, pixels of an image of this size, as [x, y, width, height] from 0 to 1; EngineError for others."""
    numbers = [float(number) for number in NUMBER.findall(text)]
    if len(numbers) != 4:
        raise EngineError(
            "Click a name below the image, or give a box as four numbers in pixels: left, top, width, height."
        )
    return [number / size[axis % 2] for axis, number in enumerate(numbers)]


def numbers(parsed: Parsed, index: int) -> str:
    """The box of an object in pixels, as `read_box` takes it."""
    return ", ".join(f"{value:.0f}" for value in pixels(parsed.objects[index], parsed.size))


async def describe(
    page: Page, row: RunRow, reply: gr.components.Component, run: Run, sources: Sources, text: str
) -> AsyncIterator[Updates]:
    """Words for what is in the box that `text` gives in pixels."""
    [image] = await in_thread(load_images, sources)
    place = read_box(text, image.original_size)
    yield {reply: ""}
    stream = partial(page.engine.describe_box_stream, image, place, None, run.session, run.model)
    async for _, result in run.follow(stream):
        yield {reply: f'<p class="answer">{escape(result.text)}</p>' + words.quiet(result)}
    yield {row.notice: page.outside([result], run.model)}


def box_row(page: Page, row: RunRow, drawn: gr.components.Component, filters: list[Any], shown: Shown) -> Any:
    """A field for a box, a button, and the words for what is in it, for models that learned this; `drawn` shows the
    boxes that can be clicked, those that `shown` gives for the values of `filters`. Returns the component with the
    words, for a tab to empty."""
    with gr.Row(elem_classes="row-of-buttons", visible=page.engine.capabilities().described_boxes) as field:
        box = gr.Textbox(
            label="What is in this box?",
            placeholder="Click a name below the image, or: left, top, width, height in pixels",
            max_lines=1,
            elem_id=f"{row.tab}-box",
        )
        ask = gr.Button("Say what is in it", size="sm", elem_id=f"{row.tab}-box-ask")
    page.follow(field, lambda model: gr.update(visible=page.engine.capabilities(model).described_boxes))
    reply = gr.HTML(elem_classes="optional", elem_id=f"{row.tab}-box-reply")

    work = partial(describe, page, row, reply)
    page.on([ask.click, box.submit], handler(page, row, work, [box]), [*page.images.inputs, box], [*row.outputs, reply])

    def pick(event: gr.SelectData, *values: Any) -> Any:
        parsed = shown(*values)
        return gr.skip() if parsed is None else numbers(parsed, event.index)

    drawn.select(pick, filters, box, **QUICK)
    return reply
