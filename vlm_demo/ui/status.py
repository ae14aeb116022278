"""The quiet line at the foot of the page: which model, where, how much memory; free memory."""

from __future__ import annotations

from html import escape

import gradio as gr

from .common import QUICK, Page

REFRESH_SECONDS = 15


def build(page: Page, demo: gr.Blocks) -> None:
    """Components and wiring of the line."""
    with gr.Row(elem_classes="status-line"):
        line = gr.HTML(elem_id="status")
        free = gr.Button("Free memory", size="sm", elem_id="free-memory")
    timer = gr.Timer(REFRESH_SECONDS)

    def show() -> str:
        return f"<p>{escape(str(page.engine.status()))}</p>"

    def unload() -> str:
        page.engine.unload()
        gr.Info("The model's memory is free. The next question loads it again.")
        return show()

    demo.load(show, None, line, queue=False, **QUICK)
    for run in page.runs:
        run.then(show, None, line, queue=False, **QUICK)
    timer.tick(show, None, line, queue=False, **QUICK)
    free.click(unload, None, line, **QUICK)
