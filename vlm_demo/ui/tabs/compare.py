"""The Compare tab: what changed, which image shows something, what happens across several, or any question."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from vlm_demo.images import LoadedImage
from vlm_demo.results import EngineError
from vlm_demo.tasks import TASKS

from .. import draws, image_panel, jobs, words
from ..common import QUICK, Page, RunRow, Updates, boxes_gallery, clear_when_new, handler, run_row
from ..image_components import boxes_files, for_display, load_images
from ..jobs import BOXES, CHANGE
from ..runs import Run, Sources, in_thread
from ..settings import read_settings, settings_panel

KINDS = [
    ("What changed?", "change"),
    ("Which image shows …", "which"),
    ("What happens across them?", "story"),
    ("My own question", "own"),
]
# What each kind writes into the box, from where it is asked, changed or not.
QUESTIONS = {
    "change": CHANGE,
    "which": "Which image shows a cat?",
    "story": TASKS["compare"].prompts["story"],
    "own": "",
}
FRESH = {"New pair": draws.pair, "New story": draws.story, "Which scene": draws.selection}
SLIDE = """
element.addEventListener("input", (event) => {
  event.target.closest(".wipe").style.setProperty("--shown", `${event.target.value}%`);
});
"""


def wipe(first: LoadedImage, second: LoadedImage) -> str:
    """The second image over the first, and a slider that says how much of it is seen."""
    size = for_display(first).size
    layers = ""
    for number, image in enumerate((first, second), 1):
        file = io.BytesIO()
        image.rgb.resize(size).save(file, "JPEG", quality=90)
        source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
        layers += f'<img src="{source}" alt="Image {number}, to be compared">'
    return (
        f'<div class="wipe"><div>{layers}</div>'
        '<label>Slide from one to the other <input type="range" min="0" max="100" value="50"></label></div>'
    )


def fitting(drawn: draws.Drawn) -> list[str]:
    """The kind and the words of the question that fresh images bring."""
    question = drawn.questions[0]
    usual = (name for name, words in QUESTIONS.items() if words == question)
    return [next(usual, "which"), question]


@dataclass
class CompareTab:
    """The components that a run writes to."""

    page: Page
    row: RunRow
    answer: gr.Textbox
    line: gr.HTML
    drawn: gr.Gallery
    table: gr.HTML
    slider: gr.HTML

    def blank(self) -> Updates:
        """An empty tab."""
        return {
            self.answer: "",
            self.line: "",
            self.table: "",
            self.drawn: gr.update(visible=False, value=None),
            self.slider: "",
        }

    async def work(self, run: Run, sources: Sources, question: str, _: str, *values: Any) -> AsyncIterator[Updates]:
        """Answer a question about two or more images; where it is what changed, box that, too."""
        yield self.blank()
        opened = await in_thread(load_images, sources)
        settings = read_settings(*values)
        if len(opened) < 2:
            raise EngineError("Comparing takes two images or more. Add one beside the first, or press a button above.")
        engine = self.page.engine
        questions = jobs.comparisons(engine, question, len(opened), run.model)
        starts = [partial(engine.compare_stream, opened, one, settings, run.session, run.model) for one in questions]
        finished = []
        async for index, result in run.follow(*starts):
            updates: Updates = {self.line: words.quiet(result), self.answer: result.text} if index == 0 else {}
            if result.finish_reason != "running":
                finished.append(result)
                updates[self.row.notice] = self.page.outside(finished, run.model)
            yield updates
        boxes = next((result.parsed for result in finished if result.parsed is not None), None)
        shown: Updates = {}
        if boxes is not None and not boxes.objects:
            shown[self.table] = words.report(boxes, BOXES)
        elif boxes is not None:
            several = await in_thread(boxes_files, self.drawn, opened, boxes)
            shown |= {self.drawn: gr.update(value=several, visible=True), self.table: words.boxes(boxes.objects, BOXES)}
        if len(opened) == 2:
            shown[self.slider] = await in_thread(wipe, *opened)
        yield shown


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    with gr.Row(elem_classes="row-of-buttons"):
        buttons = {
            name: gr.Button(
                draws.label(name, page.world(None)), size="sm", elem_id=f"compare-{name.lower().replace(' ', '-')}"
            )
            for name in FRESH
        }
    kind = gr.Radio(KINDS, value="change", label="Kind of question", elem_id="compare-kind")
    box = gr.Textbox(
        value=CHANGE,
        label="Your question",
        placeholder="Which image has the most objects?",
        max_lines=3,
        elem_id="compare-box",
    )
    row = run_row(page, "compare", "Compare")
    answer = gr.Textbox(
        label="Answer",
        lines=2,
        interactive=False,
        buttons=["copy"],
        elem_classes=["answer-box", "answer-place"],
        elem_id="compare-text",
    )
    line = gr.HTML(elem_classes="line", elem_id="compare-line")
    row.notice.render()
    drawn = boxes_gallery(BOXES, "compare-boxes")
    table = gr.HTML(elem_classes="optional", elem_id="compare-table")
    slider = gr.HTML(js_on_load=SLIDE, elem_classes="optional", elem_id="compare-slider")
    with gr.Accordion("Settings", open=False):
        panel = settings_panel("compare", TASKS["compare"].max_new_tokens)

    tab = CompareTab(page, row, answer, line, drawn, table, slider)
    inputs = [box, kind, *panel]  # the kind is asked for so that a page that loads again shows it
    page.on(
        [row.run.click, box.submit],
        handler(page, row, tab.work, inputs),
        [*page.images.inputs, *inputs],
        [*row.outputs, answer, line, drawn, table, slider],
    )
    clear_when_new(page, row, tab.blank)

    kind.input(lambda kind: QUESTIONS[kind], kind, box, queue=False, **QUICK)
    for name, button in buttons.items():
        image_panel.bring(page, button, name, FRESH[name], [kind, box], fitting)
