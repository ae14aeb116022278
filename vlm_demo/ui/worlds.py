"""Which model answers a visitor, and the world that it knows: its sentence, its images, its examples."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from . import models
from .common import QUICK, Page
from .runs import Updates
from .visits import Visit


def title(page: Page, model: str) -> str:
    """What the page calls a model."""
    return page.engine.description(model).title or page.engine.name(model)


@dataclass
class Choice:
    """The models to choose from, for each visitor alone, and the panel that brings in others."""

    radio: gr.Radio
    others: models.Chooser | None


def choice(page: Page) -> Choice:
    """What stands at the head of the page: the models, and what the chosen one knows."""
    with gr.Row(elem_classes="world"):
        names = page.engine.models
        radio = gr.Radio(
            _choices(page), value=page.engine.model, label="Model", visible=len(names) > 1, elem_id="model"
        )
        page.follow(gr.HTML(knows(page, page.engine.model), elem_id="knows"), lambda model: knows(page, model))
    return Choice(radio, models.build(page))


def wire(page: Page, choice: Choice, demo: gr.Blocks) -> None:
    """Let everything that belongs to a world follow the choice; call it when all tabs are built."""
    radio = choice.radio

    def choose(model: str, request: gr.Request) -> Updates:
        page.sessions.choose(request.session_hash or "", model)
        return {component: show(model) for component, show in page.followers}

    def change(model: str, visit: Visit) -> Updates:
        visit.model = model
        return again(visit)

    def again(visit: Visit) -> Updates:
        if visit.model is None:
            return {}
        shown = {component: show(visit.model) for component, show in page.followers}
        return {radio: _offered(page, visit.model)} | shown

    def opened() -> Updates:
        """More models may have come in since the page was made."""
        choices = _choices(page)
        return {radio: gr.update(choices=choices, visible=len(choices) > 1)}

    components = [component for component, _ in page.followers]
    page.give_back([radio, *components], again)
    radio.input(choose, radio, components, queue=False, **QUICK)
    demo.load(opened, None, [radio], queue=False, **QUICK)
    models.wire(page, choice.others, radio, demo, change)


def knows(page: Page, model: str) -> str:
    text = page.engine.description(model).knows
    return f'<p class="quiet">{escape(text)}</p>' if text else ""


def _choices(page: Page) -> list[tuple[str, str]]:
    return [(title(page, model), model) for model in page.engine.models]


def _offered(page: Page, model: str) -> Any:
    choices = _choices(page)
    return gr.update(choices=choices, value=model, visible=len(choices) > 1)
