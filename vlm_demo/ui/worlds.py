"""Which model answers a visitor, and the world that it knows: its sentence, its images, its examples."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from .common import QUICK, Page
from .runs import Updates
from .visits import Visit


def title(page: Page, model: str) -> str:
    """What the page calls a model."""
    return page.engine.description(model).title or page.engine.name(model)


def choice(page: Page) -> gr.Radio | None:
    """The models to choose from, for this visitor alone, with what the chosen one knows; None where there is one."""
    models = page.engine.models
    chosen = None
    with gr.Row(elem_classes="world"):
        if len(models) > 1:
            chosen = gr.Radio(
                [(title(page, model), model) for model in models],
                value=page.engine.model,
                label="Model",
                elem_id="model",
            )
        page.follow(gr.HTML(knows(page, page.engine.model), elem_id="knows"), lambda model: knows(page, model))
    return chosen


def wire(page: Page, chosen: gr.Radio | None) -> None:
    """Let everything that belongs to a world follow the choice; call it when all tabs are built."""
    if chosen is None:
        return
    components = [component for component, _ in page.followers]

    def choose(model: str, request: gr.Request) -> list[Any]:
        page.sessions.choose(request.session_hash or "", model)
        return [show(model) for _, show in page.followers]

    def again(visit: Visit) -> Updates:
        if visit.model is None:
            return {}
        return {chosen: visit.model} | {component: show(visit.model) for component, show in page.followers}

    page.give_back([chosen, *components], again)
    chosen.input(choose, chosen, components, queue=False, **QUICK)


def knows(page: Page, model: str) -> str:
    text = page.engine.description(model).knows
    return f'<p class="quiet">{escape(text)}</p>' if text else ""
