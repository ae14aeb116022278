"""The Caption tab: brief, detailed and alt-text captions, one or several."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from vlm_demo.results import SamplingParameters
from vlm_demo.tasks import TASKS

from .. import draws, words
from ..common import Page, Run, Updates, handler, retry_settings, run_row, settings_panel
from ..pictures import load_pictures, picture_set

STYLES = [("Brief", "brief"), ("Detailed", "detailed"), ("Alt text", "alt")]
MOST = 4
HIDDEN = "hidden"  # there, but not seen: text that comes while a box is being added to the page would be lost


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    with gr.Row():
        with gr.Column(scale=5, min_width=300):
            pictures = picture_set("caption", {"New scene": draws.scene})
        with gr.Column(scale=6, min_width=300):
            style = gr.Radio(STYLES, value="brief", label="Style", elem_id="caption-style")
            row = run_row(page, "caption", "Write a caption")
            texts, lines = [], []
            for number in range(1, MOST + 1):
                texts.append(
                    gr.Textbox(
                        label="Caption" if number == 1 else f"Candidate {number}",
                        lines=3 if number == 1 else 2,
                        interactive=False,
                        buttons=["copy"],
                        visible=number == 1 or HIDDEN,
                        elem_classes="answer-box",
                        elem_id=f"caption-text-{number}",
                    )
                )
                name = "caption-line" if number == 1 else f"caption-line-{number}"
                lines.append(gr.HTML(visible=number == 1 or HIDDEN, elem_classes=["optional", "line"], elem_id=name))
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

    def work(run: Run, source: str | None, style: str, count: int, *values: float) -> Iterator[Updates]:
        count = int(count)
        yield {
            box: gr.update(value="", visible=number < count or HIDDEN)
            for boxes in (texts, lines)
            for number, box in enumerate(boxes)
        }
        picture = load_pictures([source])[0]
        settings = panel.read(*values)
        wanted: list[SamplingParameters] = [settings] + [retry_settings(settings)] * (count - 1)
        started = [page.engine.caption_stream(picture, style, one, run.session) for one in wanted]
        for number, result in run.follow(*started):
            updates = {texts[number]: result.text, lines[number]: words.quiet(result)}
            if result.finish_reason != "running":
                updates[row.notice] = words.outside([result])
            yield updates

    page.on(
        [row.run.click],
        handler(page, row, work),
        [pictures.slots[0], style, count, *panel.inputs],
        [*row.outputs, *texts, *lines],
    )
