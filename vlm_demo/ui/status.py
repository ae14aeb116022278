"""The quiet line at the foot of the page: which model, where, how much memory; a choice of models; free memory."""

from __future__ import annotations

from html import escape

import gradio as gr

from vlm_demo.results import EngineError

from .common import QUICK, Page, Updates

REFRESH_SECONDS = 15


def build(page: Page, demo: gr.Blocks) -> None:
    """Components and wiring of the line."""
    with gr.Row(elem_classes="status-line"):
        line = gr.HTML(elem_id="status")
        model = None
        if len(page.models) > 1:
            model = gr.Dropdown(page.models, value=page.engine.model, label="Model, for everybody", elem_id="model")
        free = gr.Button("Free memory", size="sm", elem_id="free-memory")
    timer = gr.Timer(REFRESH_SECONDS)
    shown = [line] if model is None else [line, model]

    def show() -> Updates:
        state: Updates = {line: f"<p>{escape(str(page.engine.status()))}</p>"}
        return state if model is None else state | {model: page.engine.model}

    def unload() -> Updates:
        page.engine.unload()
        gr.Info("The model's memory is free. The next question loads it again.")
        return show()

    def switch(wanted: str) -> Updates:
        try:
            page.engine.switch(wanted)
        except EngineError as error:
            gr.Warning(str(error))
        return show()

    demo.load(show, None, shown, queue=False, **QUICK)
    for run in page.runs:
        run.then(show, None, shown, queue=False, **QUICK)
    timer.tick(show, None, shown, queue=False, **QUICK)
    free.click(unload, None, shown, **QUICK)
    if model is not None:
        model.select(switch, model, shown, **QUICK)  # `input` would come twice a choice
