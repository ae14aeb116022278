"""Which model answers a visitor, and the world that it knows: its sentence, its images, its examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from vlm_demo import images
from vlm_demo.images import ImageError
from vlm_demo.results import EngineError

from . import image_panel, models, words
from .common import HIDDEN, QUICK, Page
from .runs import Updates
from .visits import Visit

UNSEEN = " unseen"  # there, for its size alone


def title(page: Page, model: str) -> str:
    """What the page calls a model."""
    return page.engine.description(model).title or page.engine.name(model)


@dataclass
class Choice:
    """The models to choose from, for each visitor alone, what the chosen one knows, and the panel that brings in
    others."""

    radio: gr.Radio
    world: gr.HTML
    others: models.Chooser | None


def choice(page: Page) -> Choice:
    """What stands at the head of the page: the models, and what the chosen one knows."""
    with gr.Row(elem_classes="world"):
        names = page.engine.models
        radio = gr.Radio(
            _choices(page), value=page.engine.model, label="Model", visible=len(names) > 1, elem_id="model"
        )
        world = gr.HTML(knows(page, page.engine.model), elem_id="knows")
        page.follow(world, lambda model: knows(page, model))
    return Choice(radio, world, models.build(page))


def wire(page: Page, choice: Choice, demo: gr.Blocks) -> None:
    """Let everything that belongs to a world follow the choice; call it when all tabs are built."""
    radio = choice.radio
    renewed = gr.Checkbox(visible=HIDDEN)  # whether the last choice brought an image of the model's own world

    def press(model: str, questions: list[str], request: gr.Request) -> Updates:
        return choose(page, request.session_hash or "", model, ours=bool(questions), renewed=renewed)

    def change(model: str, visit: Visit) -> Updates:
        visit.model = model
        return again(page, radio, visit)

    def look(request: gr.Request, *values: Any) -> str:
        model = page.model(request.session_hash)
        return knows(page, model, is_foreign(page, model, values))

    def opened() -> Updates:
        """More models may have come in since the page was made."""
        choices = _choices(page)
        return {radio: gr.update(choices=choices, visible=len(choices) > 1)}

    components = [component for component, _ in page.followers]
    page.give_back([radio, *components], lambda visit: again(page, radio, visit))
    outputs = [*components, *page.images.outputs, renewed]
    chosen = radio.input(press, [radio, page.images.questions], outputs, queue=False, **QUICK)
    chosen.then(look, page.images.inputs, choice.world, queue=False, **QUICK)
    chosen.then(None, renewed, js=f"(renewed) => renewed && ({image_panel.RUN})()", api_visibility="private")
    gr.on([slot.change for slot in page.images.slots], look, page.images.inputs, choice.world, queue=False, **QUICK)
    demo.load(opened, None, [radio], queue=False, **QUICK)
    models.wire(page, choice.others, radio, demo, change)


def followers(page: Page, model: str) -> Updates:
    """What everything that follows the choice shows for a model."""
    return {component: show(model) for component, show in page.followers}


def again(page: Page, radio: gr.Radio, visit: Visit) -> Updates:
    """What a page that loads again shows of the choice of its visit; nothing where it has made none."""
    if visit.model is None:
        return {}
    choices = _choices(page)
    offered = gr.update(choices=choices, value=visit.model, visible=len(choices) > 1)
    return {radio: offered} | followers(page, visit.model)


def choose(page: Page, session: str, model: str, ours: bool, renewed: gr.Checkbox) -> Updates:
    """What the page shows once a visitor has chosen a model. Images of the page's own (`ours`) give way to one of the
    model's world, of which `renewed` tells; an image that the visitor has brought stays."""
    before = page.world(session)
    page.sessions.choose(session, model)
    world = page.world(session)
    updates = followers(page, model)
    if ours and world != before:
        updates |= image_panel.put_example(page.images, 0, world)
    return updates | {renewed: ours and world != before}


def knows(page: Page, model: str, foreign: bool = False) -> str:
    """What a model knows, or in its place, and of its size so that nothing moves, that an image is from elsewhere."""
    about = page.engine.description(model)
    sentence, warning = escape(about.knows), escape(about.notice or words.OUTSIDE)
    if not sentence and not foreign:
        return ""
    return (
        f'<div class="either"><p class="quiet{UNSEEN * foreign}">{sentence}</p>'
        f'<div class="notice{UNSEEN * (not foreign)}"{" role=status" * foreign}>{warning}</div></div>'
    )


def is_foreign(page: Page, model: str, values: Sequence[Any]) -> bool:
    """Whether one of the images is from outside the model's world; not where finding out would make somebody wait, nor
    of the image on which the page opens."""
    known = page.images.as_opened(values) and page.engine.description(model).samples == page.world(None)
    if known or not page.engine.quick(model):
        return False
    sources = [source for source in page.images.sources(values, single=False) if source is not None]
    try:
        return any(page.engine.novelty(images.load(source), model).outside for source in sources)
    except (ImageError, EngineError):
        return False  # what is wrong is told where somebody has asked for something


def _choices(page: Page) -> list[tuple[str, str]]:
    return [(title(page, model), model) for model in page.engine.models]
