"""What a model takes of the images: their own size, the size that it sees, its patches, the tokens that they become."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from vlm_demo import images
from vlm_demo.images import ImageError

from . import words
from .common import QUICK, Page

HEAD = ("Image", "Its own size", "The model sees", "Patches", "Tokens")


def build(page: Page) -> None:
    """A fold that tells all of it when it is opened; other images or another model close it."""
    with gr.Accordion("What the model sees", open=False, elem_id="sight") as fold:
        facts = gr.HTML(elem_id="sight-facts")

    def show(request: gr.Request, *values: Any) -> str:
        sources = [source for source in page.images.sources(values, single=False) if source is not None]
        return table(page, page.model(request.session_hash), sources)

    def close(*_: Any) -> dict[str, Any]:
        return gr.update(open=False)

    fold.expand(show, page.images.inputs, facts, queue=False, **QUICK)
    gr.on([slot.change for slot in page.images.slots], close, None, fold, queue=False, **QUICK)
    page.follow(fold, close)


def table(page: Page, model: str, sources: list[str]) -> str:
    """A line for each image."""
    seen = page.engine.image_input(model)
    if not sources:
        return '<p class="empty">There is no image yet.</p>'
    if seen is None:
        return '<p class="empty">How this model takes images in is not known here.</p>'
    rows = []
    for number, source in enumerate(sources, 1):
        try:
            width, height = images.load(source).original_size
        except ImageError as error:
            return words.notice(str(error), bad=True)
        patches = f"{seen.grid[0]} × {seen.grid[1]}" + (f" and {seen.regions} regions" if seen.regions else "")
        seen_size = f"{seen.size[0]} × {seen.size[1]}"
        rows.append([str(number), f"{width} × {height}", seen_size, escape(patches), str(seen.tokens)])
    note = '<p class="quiet">The whole image is fitted into the size that the model sees; nothing is cut off.</p>'
    return words.table("", HEAD, rows) + note
