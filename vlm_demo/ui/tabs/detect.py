"""The Detect tab: boxes on the picture, the raw text beside what was read from it, a filter, and downloads."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
import numpy as np
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image

from vlm_demo.detection import Parsed, to_coco, to_csv, to_json, to_yolo
from vlm_demo.detection.drawing import COLOURS, annotate
from vlm_demo.tasks import TASKS

from .. import draws, words
from ..common import QUICK, Page, Run, Updates, handler, run_row, settings_panel
from ..pictures import for_display, load_pictures, picture_set

TINT = 0.16  # how strongly a box is filled where the pointer finds it
MOST_TINTED = 40  # boxes that answer to the pointer; each costs a picture of its own
WAITING = '<p class="empty">What was read from the text is shown here.</p>'


@dataclass
class Found:
    """The last answer of one person: enough to draw, filter and export it again without the model."""

    source: str  # path or data URL of the picture
    parsed: Parsed


def overlay(picture: Image.Image, parsed: Parsed) -> Any:
    """The drawn boxes, and over each a tinted field that stands out when the pointer is on its name."""
    shown = for_display(picture)
    fields, colours = [], {}
    boxes = parsed.of_image(1, shown.size).detections.xyxy.round().astype(int)
    for number, (item, (x1, y1, x2, y2)) in enumerate(zip(parsed.objects, boxes, strict=True), 1):
        if number > MOST_TINTED:
            break
        field = np.zeros((shown.height, shown.width))  # [H, W]
        field[max(y1, 0) : y2, max(x1, 0) : x2] = TINT
        name = f"{number} {item['label']}"
        fields.append((field, name))
        colours[name] = COLOURS[parsed.labels.index(item["label"]) % len(COLOURS)]
    return gr.AnnotatedImage((annotate(shown, parsed), fields), color_map=colours)


def report(parsed: Parsed) -> str:
    """The table and the report in words; a failed reading and an empty scene look different."""
    if parsed.failed:
        return words.notice(f"{parsed.report}. The model's own text stands beside this.", bad=True)
    if not parsed.objects:
        return f'<p class="answer">{escape(str(parsed.report))}.</p>'
    return words.boxes(parsed.objects) + words.report(parsed)


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    with gr.Row():
        with gr.Column(scale=5, min_width=300):
            pictures = picture_set("detect", {"New scene": draws.scene})
        with gr.Column(scale=6, min_width=300):
            row = run_row(page, "detect", "Find the objects")
            drawn = gr.AnnotatedImage(
                label="Found", height=420, show_legend=True, buttons=["fullscreen"], elem_id="detect-drawn"
            )
            line = gr.HTML(elem_classes=["optional", "line"], elem_id="detect-line")
            labels = gr.CheckboxGroup([], label="Show only", visible=False, elem_id="detect-labels")
            with gr.Row(elem_classes="row-of-buttons", visible=False) as downloads:
                gr.HTML('<span class="lead">Download</span>')
                buttons = [
                    gr.DownloadButton(name, size="sm", elem_id=f"detect-{name.lower().replace(' ', '-')}")
                    for name in ("PNG", "JSON", "COCO", "YOLO", "CSV")
                ]
            with gr.Accordion("Settings", open=False):
                panel = settings_panel("detect", TASKS["detect"].max_new_tokens)
    with gr.Row():  # what the model wrote, beside what was read from it
        with gr.Column(scale=5, min_width=300):
            raw = gr.Textbox(
                label="The model's own text",
                lines=4,
                max_lines=10,
                interactive=False,
                buttons=["copy"],
                elem_classes="raw",
                elem_id="detect-raw",
            )
        with gr.Column(scale=6, min_width=300):
            table = gr.HTML(WAITING, elem_id="detect-table")
    found = gr.State(None)
    drawing = [drawn, table, *buttons]

    def draw(picture: Image.Image, parsed: Parsed) -> Updates:
        return {
            drawn: overlay(picture, parsed),
            table: report(parsed),
            **dict(zip(buttons, files(picture, parsed, drawn.GRADIO_CACHE), strict=True)),
        }

    def work(run: Run, source: str | None, *values: Any) -> Iterator[Updates]:
        yield {
            raw: "",
            line: "",
            table: WAITING,
            drawn: None,
            labels: gr.update(visible=False),
            downloads: gr.update(visible=False),
        }
        picture = load_pictures([source])[0]
        yield {drawn: (for_display(picture), [])}
        for _, result in run.follow(page.engine.detect_stream(picture, panel.read(*values), run.session)):
            yield {raw: result.text, line: words.quiet(result)}
        parsed = result.parsed
        names = parsed.labels
        yield {
            found: Found(source, parsed),
            labels: gr.update(choices=names, value=names, visible=len(names) > 1),
            downloads: gr.update(visible=not parsed.failed),
            row.notice: words.outside([result]),
            **draw(picture, parsed),
        }

    page.on(
        [row.run.click],
        handler(page, row, work),
        [pictures.slots[0], *panel.inputs],
        [*row.outputs, raw, line, labels, downloads, found, *drawing],
    )

    def only(found: Found | None, names: list[str]) -> Updates:
        if found is None:
            return {table: gr.skip()}
        return draw(load_pictures([found.source])[0], found.parsed.only(names))

    labels.input(only, [found, labels], drawing, **QUICK)


def files(picture: Image.Image, parsed: Parsed, folder: str) -> list[str]:
    """Write the downloads into `folder`; returns their paths, in the order of the buttons."""
    png = io.BytesIO()
    annotate(picture, parsed).save(png, "PNG")
    lines, classes = to_yolo(parsed)
    yolo = io.BytesIO()
    with zipfile.ZipFile(yolo, "w") as archive:
        archive.writestr("labels/picture.txt", lines)
        archive.writestr("classes.txt", classes)
    written = {
        "picture-boxes.png": png.getvalue(),
        "detections.json": to_json(parsed).encode(),
        "coco.json": json.dumps(to_coco(parsed, "picture.png"), indent=2).encode(),
        "yolo.zip": yolo.getvalue(),
        "detections.csv": to_csv(parsed).encode(),
    }
    return [save_bytes_to_cache(data, name, folder) for name, data in written.items()]
