"""The quiet line at the foot of the page: which model, where, how much memory; and for the owner, free memory."""

from __future__ import annotations

from html import escape

import gradio as gr

from vlm_demo.results import EngineError

from .common import QUICK, Page

REFRESH_SECONDS = 15


def build(page: Page, demo: gr.Blocks) -> None:
    """Components and wiring of the line."""
    with gr.Row(elem_classes="status-line"):
        line = gr.HTML(elem_id="status")
        free = gr.Button("Free memory", size="sm", visible=False, elem_id="free-memory")
    timer = gr.Timer(REFRESH_SECONDS)

    def show() -> str:
        return line_of(page)

    def unload(request: gr.Request) -> str:
        free_memory(page, request)
        return line_of(page)

    def offer(request: gr.Request) -> dict:
        return gr.update(visible=page.owner.is_owner(request))

    demo.load(offer, None, free, queue=False, **QUICK)
    demo.load(show, None, line, queue=False, **QUICK)
    for run in page.runs:
        run.then(show, None, line, queue=False, **QUICK)
    timer.tick(show, None, line, queue=False, **QUICK)
    free.click(unload, None, line, **QUICK)


def line_of(page: Page) -> str:
    """The line as it is now."""
    return f"<p>{escape(str(page.engine.status()))}</p>"


def free_memory(page: Page, request: gr.Request) -> None:
    """Unload all models for an owner; raises gr.Error for others."""
    try:
        page.owner.check(request)
    except EngineError as error:
        raise gr.Error(str(error), print_exception=False) from error
    page.engine.unload()
    gr.Info("The model's memory is free. The next question loads it again.")
