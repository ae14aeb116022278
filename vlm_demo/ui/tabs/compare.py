"""The Compare tab: what changed, which image shows something, what happens across several, or any question."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from vlm_demo.tasks import TASKS

from .. import draws, words
from ..common import QUICK, Page, Run, Updates, boxes_gallery, handler, run_row, settings_panel
from ..pictures import draw_boxes, for_display, load_pictures, picture_set

QUESTIONS = [
    ("What changed?", "change"),
    ("Which image shows …", "which"),
    ("What happens across them?", "story"),
    ("My own question", "own"),
]
BOXES = "Boxes of the change"


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    with gr.Row():
        with gr.Column(scale=5, min_width=300):
            pictures = picture_set(
                "compare",
                {"New pair": draws.pair, "New story": draws.story, "New selection": draws.selection},
                limit=TASKS["compare"].max_images,
                start=TASKS["compare"].min_images,
                examples=False,
            )
        with gr.Column(scale=6, min_width=300):
            kind = gr.Radio(QUESTIONS, value="change", label="Question", elem_id="compare-kind")
            box = gr.Textbox(
                value="",
                label="Which image shows …",
                placeholder="a red cat",
                visible=False,
                max_lines=3,
                elem_id="compare-box",
            )
            row = run_row(page, "compare", "Compare")
            answer = gr.Textbox(
                label="Answer",
                lines=2,
                interactive=False,
                buttons=["copy"],
                elem_classes="answer-box",
                elem_id="compare-text",
            )
            line = gr.HTML(elem_classes=["optional", "line"], elem_id="compare-line")
            drawn = boxes_gallery(BOXES, "compare-boxes")
            table = gr.HTML(elem_classes="optional", elem_id="compare-table")
            slider = gr.ImageSlider(
                label="Slide one over the other",
                interactive=False,
                visible=False,
                max_height=420,
                buttons=["fullscreen"],
                elem_id="compare-slider",
            )
            with gr.Accordion("Settings", open=False):
                panel = settings_panel("compare", TASKS["compare"].max_new_tokens)

    count = len(pictures.slots)

    def work(run: Run, kind: str, text: str, *rest: Any) -> Iterator[Updates]:
        yield {
            answer: "",
            line: "",
            table: "",
            drawn: gr.update(visible=False, value=None),
            slider: gr.update(visible=False, value=None),
        }
        opened = load_pictures(rest[:count])
        settings = panel.read(*rest[count:])
        question = {"which": f"Which image shows {text.strip().rstrip('?')}?" if text.strip() else "", "own": text}.get(
            kind, kind
        )
        started = [page.engine.compare_stream(opened, question, settings, run.session)]
        if kind == "change" and len(opened) == 2:
            started.append(page.engine.compare_stream(opened, "boxes", settings, run.session))
        finished = []
        for index, result in run.follow(*started):
            updates: Updates = {line: words.quiet(result)} if index == 0 else {}
            if index == 0:
                updates[answer] = result.text
            if result.finish_reason != "running":
                finished.append(result)
                updates[row.notice] = words.outside(finished)
            yield updates
        boxes = next((result.parsed for result in finished if result.parsed is not None), None)
        if boxes is not None and not boxes.objects:
            yield {table: words.report(boxes, BOXES)}
        elif boxes is not None:
            shown = [draw_boxes(picture, boxes, number) for number, picture in enumerate(opened, 1)]
            labelled = [(picture, f"Picture {number}") for number, picture in enumerate(shown, 1)]
            yield {drawn: gr.update(value=labelled, visible=True), table: words.boxes(boxes.objects, BOXES)}
        if len(opened) == 2:
            first, second = (for_display(picture) for picture in opened)
            yield {slider: gr.update(value=(first, second.resize(first.size)), visible=True)}

    page.on(
        [row.run.click, box.submit],
        handler(page, row, work),
        [kind, box, *pictures.slots, *panel.inputs],
        [*row.outputs, answer, line, drawn, table, slider],
    )

    def choose(kind: str) -> Any:
        labels = {
            "which": ("Which image shows …", "a red cat"),
            "own": ("Your question", "Which image has the most objects?"),
        }
        if kind not in labels:
            return gr.update(visible=False)
        label, placeholder = labels[kind]
        return gr.update(visible=True, label=label, placeholder=placeholder)

    kind.change(choose, kind, box, queue=False, **QUICK)
