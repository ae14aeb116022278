"""Other models than those that are there: what each takes, bringing it in, and who may do that."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from vlm_demo.engine import ICONS, PHOTOGRAPHS
from vlm_demo.results import EngineError, size
from vlm_demo.runners.needs import Needs  # not for type checking alone: gradio reads the hints of listeners
from vlm_demo.tasks import TASKS

from . import words
from .common import EVERYONE, HIDDEN, NOBODY, QUICK, Page
from .owner import address
from .runs import Run, Updates
from .visits import Visit

if TYPE_CHECKING:
    from vlm_demo.engine.opening import Opening

ShowModel = Callable[[str, Visit], Updates]

BUNDLED = {"Photographs": PHOTOGRAPHS, "Icon scenes": ICONS}
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
MOST = 12  # models of a page to which visitors may add: each takes room on the disk for good
LOOK = 0.3  # seconds between two looks at how far it is
RUN = "other-model"  # the name of such a run among those of a visit
STAGES = {
    "waiting": "Getting ready …",
    "downloading": "Downloading …",
    "loading": "Loading the weights …",
    "checking": "Checking that it answers …",
}


@dataclass
class Chooser:
    """The components of the panel, and what its buttons do."""

    page: Page
    panel: gr.Accordion
    name: gr.Dropdown
    look: gr.Button
    load: gr.Button
    cancel: gr.Button
    card: gr.HTML
    needs: gr.State

    def look_up(self, name: str | None, request: gr.Request) -> Updates:
        """Tell what a model takes, and offer to load it."""
        try:
            needs = self.page.engine.look_up(meant(self.page, name, request))
            needs.check(self.page.engine.device)
        except EngineError as error:
            return {self.card: words.notice(str(error), bad=True), self.load: gr.update(visible=HIDDEN)}
        return {self.card: card(needs), self.load: gr.update(visible=True), self.needs: needs}

    async def bring(self, needs: Needs | None, request: gr.Request, show: ShowModel) -> AsyncIterator[Updates]:
        """Open a model whose needs have been looked up; `show` gives the updates of a page that changes to it."""
        page, session = self.page, request.session_hash or ""
        try:
            if needs is None:
                raise EngineError("Look at what the model takes first.")
            opening = page.engine.open(replace(needs, source=meant(page, needs.source, request)))
        except EngineError as error:
            yield {self.card: words.notice(str(error), bad=True)}
            if page.owner.is_owner(request):  # who may cancel what somebody else has asked for
                yield {self.cancel: gr.update(visible=page.engine.is_opening or HIDDEN)}
            return
        run = page.sessions.start(session, RUN, address=address(request))
        run.go(self.follow(run, opening, page.sessions.visit(session), show))
        async for updates in run.watch():
            yield updates

    async def follow(self, run: Run, opening: Opening, visit: Visit, show: ShowModel) -> None:
        """Show how far a model is until the end, and give it up when the visitor has pressed Cancel or left."""
        try:
            run.show({self.load: gr.update(visible=HIDDEN), self.panel: gr.update(open=True)})
            while not opening.done.is_set():
                # Again and again: what comes while a page that loads again unfolds the panel is lost.
                shown = gr.update(visible=HIDDEN if run.stopped else True)
                run.show({self.card: progress(opening), self.cancel: shown})
                await asyncio.sleep(LOOK)
                if run.stopped:
                    opening.cancel()
            run.show({self.cancel: gr.update(visible=HIDDEN), self.card: words.notice(*end(opening))})
            if opening.error is None:
                run.show(show(opening.needs.source, visit))
        finally:
            if visit.runs.get(RUN) is run:  # a page that loads again is not to undo what is chosen from now on
                del visit.runs[RUN]
            self.page.sessions.finish(run)

    async def give_up(self, request: gr.Request) -> Updates:
        """Cancel what the visitor is bringing in, or for the owner, what somebody else is; gr.Error for others."""
        page, session = self.page, request.session_hash or ""
        if page.engine.is_opening:
            try:
                if page.sessions.running(session, RUN) is None:
                    page.owner.check(request)
            except EngineError as error:
                raise gr.Error(str(error), print_exception=False) from error
            page.engine.opening.cancel()
        page.sessions.stop(session, RUN)
        return {self.cancel: gr.update(visible=HIDDEN)}


def build(page: Page) -> Chooser | None:
    """The panel in which another model is named; None where nobody may add one."""
    if page.adding == NOBODY:
        return None
    seen = page.adding == EVERYONE or HIDDEN
    with gr.Accordion("Other models", open=False, visible=seen, elem_id="other-models") as panel:
        name = gr.Dropdown(
            [title for title, folder in BUNDLED.items() if str(folder) not in page.engine.models],
            value=None,
            allow_custom_value=True,
            label="Bundled, a name on the Hub, or a folder of this machine",
            elem_id="other-name",
        )
        with gr.Row(elem_classes="row-of-buttons"):
            look = gr.Button("What does it take?", size="sm", elem_id="other-look")
            load = gr.Button("Load it", size="sm", variant="primary", visible=HIDDEN, elem_id="other-load")
            cancel = gr.Button("Cancel", size="sm", variant="stop", visible=HIDDEN, elem_id="other-cancel")
        card = gr.HTML(elem_id="other-card")
        needs = gr.State(None)
    return Chooser(page, panel, name, look, load, cancel, card, needs)


def wire(page: Page, chooser: Chooser | None, chosen: gr.Radio, demo: gr.Blocks, show: ShowModel) -> None:
    """Let the panel work; `show` gives the updates of a page that changes to a model."""
    if chooser is None:
        return

    def offer(request: gr.Request) -> Updates:
        return {chooser.panel: gr.update(visible=page.adding == EVERYONE or page.owner.is_owner(request) or HIDDEN)}

    async def bring(needs: Needs | None, request: gr.Request) -> AsyncIterator[Updates]:
        async for updates in chooser.bring(needs, request, show):
            yield updates

    demo.load(offer, None, [chooser.panel], queue=False, **QUICK)
    shown = [chooser.card, chooser.load, chooser.needs]
    gr.on([chooser.look.click, chooser.name.select], chooser.look_up, chooser.name, shown, **QUICK)
    followers = [component for component, _ in page.followers]
    outputs = [chooser.panel, chooser.card, chooser.load, chooser.cancel, chosen, *followers]
    page.parts.update(outputs)  # a page that loads again goes on watching
    chooser.load.click(bring, chooser.needs, outputs, **QUICK)
    chooser.cancel.click(chooser.give_up, None, [chooser.cancel], queue=False, **QUICK)


def check_allowed(page: Page, request: gr.Request) -> None:
    """Raise EngineError unless a visitor may bring in models."""
    if page.adding == NOBODY:
        raise EngineError("The owner has settled that no models are added to this page.")
    if page.adding != EVERYONE:
        page.owner.check(request)
    if len(page.engine.models) >= MOST and not page.owner.is_owner(request):
        raise EngineError(f"This page has {MOST} models, and visitors add no more. Choose one of them.")


def meant(page: Page, name: str | None, request: gr.Request) -> str:
    """The folder or Hub name that somebody means; raises EngineError where they may not name it."""
    check_allowed(page, request)
    name = (name or "").strip()
    if not name:
        raise EngineError("Choose a model, or type its name first.")
    if name in BUNDLED or name in map(str, BUNDLED.values()):
        return str(BUNDLED.get(name, name))
    if "://" in name:
        raise EngineError("Servers are named by whoever starts the page: python app.py --model FAMILY=URL")
    if (Path(name).exists() or not HUB_NAME.fullmatch(name)) and not page.owner.is_owner(request):
        raise EngineError("Type a name on the Hub, as in user/model; only the owner of this page can name a folder.")
    return name


def card(needs: Needs) -> str:
    """What a model takes and can do."""
    tasks = TASKS if needs.dialect is None else needs.dialect.tasks
    can = ", ".join(TASKS[name].title for name in TASKS if name in tasks)
    return f'<p class="answer">{escape(str(needs))}</p><p class="quiet">It can: {escape(can)}.</p>'


def progress(opening: Opening) -> str:
    """How far a model is on its way."""
    total = opening.needs.download
    if opening.stage != "downloading" or not total:
        return f'<p class="quiet" role="status">{STAGES.get(opening.stage, "")}</p>'
    parts = f"{size(opening.fetched)} of {size(total)}"
    return (
        f'<p class="quiet">Downloading: {parts}</p>'
        f'<progress max="{total}" value="{opening.fetched}" aria-label="Downloaded">{parts}</progress>'
    )


def end(opening: Opening) -> tuple[str, bool]:
    """How it ended, in words, and whether that is bad."""
    if opening.error is None:
        return "It works, and answers you from now on.", False
    return str(opening.error), opening.stage == "failed"
