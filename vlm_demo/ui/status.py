"""The quiet line at the foot of the page: whether the model is ready; for the owner also where it is and what it takes,
and a button that frees the memory."""

from __future__ import annotations

from html import escape

import gradio as gr

from vlm_demo.results import EngineError

from .common import QUICK, Page
from .worlds import title

REFRESH_SECONDS = 15


def build(page: Page, demo: gr.Blocks) -> None:
    """Components and wiring of the line."""
    with gr.Row(elem_classes="status-line"):
        line = gr.HTML(elem_id="status")
        free = gr.Button("Free memory", size="sm", visible=False, elem_id="free-memory")
    timer = gr.Timer(REFRESH_SECONDS)

    def show(request: gr.Request) -> str:
        return line_of(page, request)

    def unload(request: gr.Request) -> str:
        free_memory(page, request)
        return line_of(page, request)

    def offer(request: gr.Request) -> dict:
        return gr.update(visible=page.owner.is_owner(request))

    demo.load(offer, None, free, queue=False, **QUICK)
    demo.load(show, None, line, queue=False, **QUICK)
    for run in page.runs:
        run.then(show, None, line, queue=False, **QUICK)
    timer.tick(show, None, line, queue=False, **QUICK)
    free.click(unload, None, line, **QUICK)


def status_text(page: Page, request: gr.Request) -> str:
    """What the line says to whoever asks."""
    status = page.engine.status()
    if page.owner.is_owner(request):
        return str(status)
    name = title(page, page.model(request.session_hash))
    if not status.loaded:
        return f"{name} · not loaded yet: the first question does that and takes a moment longer"
    return f"{name} · " + (f"if you ask now, {status.position}" if status.position else "ready")


def line_of(page: Page, request: gr.Request) -> str:
    """The line as it is now, for whoever asks."""
    return f"<p>{escape(status_text(page, request))}</p>"


def free_memory(page: Page, request: gr.Request) -> None:
    """Unload all models for an owner; raises gr.Error for others."""
    try:
        page.owner.check(request)
    except EngineError as error:
        raise gr.Error(str(error), print_exception=False) from error
    page.engine.unload()
    gr.Info("The model's memory is free. The next question loads it again.")
