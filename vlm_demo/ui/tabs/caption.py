"""The Caption tab: brief, detailed and alt-text captions, one or several."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import gradio as gr

from vlm_demo.results import SamplingParameters
from vlm_demo.tasks import TASKS

from .. import words
from ..common import HIDDEN, Page, RunRow, Unasked, Updates, clear_when_new, handler, run_row
from ..image_components import load_images
from ..runs import Run, Sources, in_thread
from ..settings import read_settings, retry_settings, settings_panel

STYLES = [("Brief", "brief"), ("Detailed", "detailed"), ("Alt text", "alt")]
MOST = 4


def styles(page: Page, model: str) -> list[tuple[str, str]]:
    """The styles of captions that a model writes."""
    able = page.engine.capabilities(model).caption_styles
    return [(title, style) for title, style in STYLES if style in able]


@dataclass
class CaptionTab:
    """The components that a run writes to: a text and the line below it for each candidate."""

    page: Page
    row: RunRow
    texts: list[gr.Textbox]
    lines: list[gr.HTML]

    def blank(self, count: int = 1) -> Updates:
        """An empty tab with room for `count` candidates."""
        return {
            box: gr.update(value="", visible=number < count or HIDDEN)
            for boxes in (self.texts, self.lines)
            for number, box in enumerate(boxes)
        }

    async def work(self, run: Run, sources: Sources, style: str, count: int, *values: float) -> AsyncIterator[Updates]:
        """Write `count` captions of the image at once; all but the first are sampled."""
        count = int(count)
        yield self.blank(count)
        [image] = await in_thread(load_images, sources)
        settings = read_settings(*values)
        wanted: list[SamplingParameters] = [settings] + [retry_settings(settings)] * (count - 1)
        stream = self.page.engine.caption_stream
        starts = [partial(stream, image, style, one, run.session, run.model) for one in wanted]
        async for number, result in run.follow(*starts):
            updates = {self.texts[number]: result.text, self.lines[number]: words.quiet(result)}
            if result.finish_reason != "running":
                updates[self.row.notice] = self.page.outside([result], run.model)
            yield updates


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    style = gr.Radio(styles(page, page.engine.model), value="brief", label="Style", elem_id="caption-style")
    page.follow(style, lambda model: gr.update(choices=styles(page, model), value="brief"))
    row = run_row(page, "caption", "Write a caption", single=True)
    texts, lines = [], []
    for number in range(1, MOST + 1):
        texts.append(
            gr.Textbox(
                label="Caption" if number == 1 else f"Candidate {number}",
                lines=3 if number == 1 else 2,
                interactive=False,
                buttons=["copy"],
                visible=number == 1 or HIDDEN,
                elem_classes=["answer-box", "answer-place"] if number == 1 else "answer-box",
                elem_id=f"caption-text-{number}",
            )
        )
        name = "caption-line" if number == 1 else f"caption-line-{number}"
        lines.append(gr.HTML(visible=number == 1 or HIDDEN, elem_classes="line", elem_id=name))
    row.notice.render()
    with gr.Accordion("Settings", open=False):
        count = gr.Slider(
            1,
            MOST,
            1,
            step=1,
            label="Candidates",
            info="Those after the first are sampled.",
            elem_id="caption-count",
        )
        panel = settings_panel("caption", TASKS["caption"].max_new_tokens)

    tab = CaptionTab(page, row, texts, lines)
    inputs = [style, count, *panel]
    running, needed = handler(page, row, tab.work, inputs), [*page.images.inputs, *inputs]
    outputs = [*row.outputs, *texts, *lines]
    page.on([row.run.click], running, needed, outputs)
    page.unasked[row.tab] = Unasked(running, needed, outputs)
    clear_when_new(page, row, tab.blank)
