"""What every tab shares: who runs what, the row of buttons, the settings, and errors in words."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from vlm_demo.images import ImageError
from vlm_demo.results import EngineError, Result
from vlm_demo.tasks import TASKS

from . import words
from .image_components import ImageSet
from .owner import Owner, address
from .runs import Replaced, Run, Sources, Updates
from .visits import Sessions, Visit

if TYPE_CHECKING:
    from vlm_demo.engine import Engine
    from vlm_demo.router import Router

log = logging.getLogger(__name__)

Work = Callable[..., AsyncIterator[Updates]]

TASK_OF = {"caption": "caption", "detect": "detect", "chat": "vqa", "compare": "compare"}  # what each tab is for
EVERYONE, OWNER, NOBODY = "everyone", "owner", "nobody"  # who may bring in other models
HIDDEN = "hidden"  # there, but not seen: what comes while a component is being added to the page would be lost
PATIENCE = 3.0  # seconds that a run gets to end at its next token
SETTLING = 20.0  # seconds in which a page that loads again may still tell of the images from before it got its own

# Whoever waits for the model shall wait in the engine's queue, which is fair and tells the place. It takes no thread.
MODEL_CALL: dict[str, Any] = {"concurrency_limit": None, "api_visibility": "private", "show_progress": "hidden"}
QUICK: dict[str, Any] = {"concurrency_limit": 64, "api_visibility": "private", "show_progress": "hidden"}


class Unasked(NamedTuple):
    """How a tab answers unasked: its listener, whose inputs begin with the images', the inputs and outputs, and which
    models answer, by the visitor's own and the values of the inputs; none where it better waits to be asked."""

    listener: Work
    inputs: list[Any]
    outputs: list[Any]
    models: Callable[[str, Sequence[Any]], Sequence[str]] = lambda model, values: [model]


@dataclass
class Page:
    """What the tabs are built on: the engine, the router, who its owner is, who may add models, the images, the runs
    and their listeners; what follows the choice of a model: components, each with what it shows for a model; the tabs
    that new images blank; the tabs that answer unasked; and what a page that loads again gets back."""

    engine: Engine
    router: Router
    owner: Owner = field(default_factory=Owner)
    adding: str = OWNER
    sessions: Sessions = field(default_factory=Sessions)
    images: ImageSet = field(init=False)
    runs: list[gr.events.Dependency] = field(default_factory=list)  # after each of them the status line looks again
    followers: list[tuple[gr.components.Component, Callable[[str], Any]]] = field(default_factory=list)
    blanks: list[tuple[RunRow, Callable[[], Updates], bool]] = field(default_factory=list)
    unasked: dict[str, Unasked] = field(default_factory=dict)
    parts: set[gr.components.Component] = field(default_factory=set)  # what a page that loads again may get back
    returns: list[Callable[[Visit], Updates]] = field(default_factory=list)  # what it gets, beside what runs show

    def follow(self, component: gr.components.Component, show: Callable[[str], Any]) -> None:
        """Let a component show `show(model)` whenever a visitor chooses a model."""
        self.followers.append((component, show))

    def give_back(self, components: Sequence[gr.components.Component], show: Callable[[Visit], Updates]) -> None:
        """Let components show `show(visit)` when a page loads again."""
        self.parts.update(components)
        self.returns.append(show)

    def model(self, session: str | None) -> str:
        """The model that a visitor has chosen."""
        return self.sessions.model(session or "") or self.engine.model

    def world(self, session: str | None) -> str:
        """Where the images of a visitor's model come from."""
        return self.engine.description(self.model(session)).samples

    def outside(self, results: Sequence[Result], model: str | None) -> str:
        """The notice for images outside a model's world, or for a question unlike those it knows; empty where all is
        familiar."""
        about = self.engine.description(model)
        if any(result.outside for result in results):
            return words.notice(about.notice or words.OUTSIDE)
        unfamiliar = any(result.unfamiliar for result in results)
        return words.notice(about.unfamiliar or words.UNFAMILIAR) if unfamiliar else ""

    def on(self, triggers: list[Any], listener: Work, inputs: Any, outputs: Any) -> None:
        """Let triggers run the model through a listener made by `handler`; a newer run takes over from an older one."""
        self.parts.update(inputs, outputs)
        self.runs.append(gr.on(triggers, listener, inputs, outputs, trigger_mode="multiple", **MODEL_CALL))


@dataclass
class RunRow:
    """Run, Stop and the line in which a tab speaks to the person; `single`: a run is about the chosen image alone."""

    tab: str
    label: str
    single: bool
    run: gr.Button
    stop: gr.Button
    notice: gr.HTML

    @property
    def outputs(self) -> list[gr.components.Component]:
        return [self.run, self.stop, self.notice]

    def busy(self) -> Updates:
        """Something runs: Run says so and Stop is there. Run can still be pressed, to start over."""
        return {
            self.run: gr.update(value="Working …", elem_classes=["run-button", "busy"]),
            self.stop: gr.update(visible=True),
            self.notice: "",
        }

    def idle(self, notice: str = "") -> Updates:
        """Nothing runs; `notice` is a complaint in words."""
        updates = {
            self.run: gr.update(value=self.label, elem_classes=["run-button"]),
            self.stop: gr.update(visible=HIDDEN),
        }
        return updates | ({self.notice: words.notice(notice, bad=True)} if notice else {})


def missing_ability(page: Page, tab: str, model: str) -> str:
    """What is said where a model cannot do what a tab is for; empty where it can."""
    task = TASK_OF.get(tab)
    if task is None or task in page.engine.capabilities(model).tasks:
        return ""
    return f"This model cannot {TASKS[task].ability}. Choose another one for that."


def run_row(page: Page, tab: str, label: str, single: bool = False) -> RunRow:
    """The two buttons, side by side. The tab renders the notice where it pushes nothing away: below its answer.

    Where the visitor's model cannot do what the tab is for, Run is off, and a line says so.
    """
    lack = missing_ability(page, tab, page.engine.model)
    with gr.Row(elem_classes="row-of-buttons"):
        run = gr.Button(label, variant="primary", interactive=not lack, elem_classes="run-button", elem_id=f"{tab}-run")
        stop = gr.Button("Stop", variant="stop", visible=HIDDEN, elem_classes="stop-button", elem_id=f"{tab}-stop")
        gr.HTML('<span class="hint"><kbd>Ctrl</kbd> <kbd>Enter</kbd></span>')
    line = gr.HTML(words.notice(lack), elem_classes="optional", elem_id=f"{tab}-cannot")
    page.follow(run, lambda model: gr.update(interactive=not missing_ability(page, tab, model)))
    page.follow(line, lambda model: words.notice(missing_ability(page, tab, model)))
    notice = gr.HTML(elem_id=f"{tab}-notice", elem_classes="optional", render=False)

    async def press(request: gr.Request) -> None:  # async: needs no thread, so it works however busy the rest is
        page.sessions.stop(request.session_hash or "", tab)

    stop.click(press, queue=False, **QUICK)
    return RunRow(tab, label, single, run, stop, notice)


def handler(page: Page, row: RunRow, work: Work, inputs: Sequence[gr.components.Component]) -> Work:
    """Make `work(run, sources, *inputs)`, which yields updates, into a listener of the images' inputs and these.

    It can be stopped, fails in words, and shows no more once a newer run or a new image has taken over. It goes on when
    the page has gone, for a page that comes back.
    """

    async def perform(run: Run, sources: Sources, values: Sequence[Any], more: dict[str, Any]) -> None:
        notice = ""
        try:
            async for updates in work(run, sources, *values, **more):
                if run.replaced:
                    raise Replaced
                run.show(updates)
        except Replaced:
            return
        except (ImageError, EngineError) as error:
            notice = str(error)
        except Exception:
            log.exception("the %s tab failed", row.tab)
            notice = "Something went wrong here; the log of the server says what. Your input is still there: try again."
        finally:
            if not run.replaced:
                run.show((_at_rest(run) if notice else {}) | row.idle(notice))
            page.sessions.finish(run)

    async def listen(request: gr.Request, *values: Any, **more: Any) -> AsyncIterator[Updates]:
        session = request.session_hash or ""
        known = len(page.images.inputs)
        images, others = values[:known], values[known:]
        sources = page.images.sources(images, row.single)
        page.sessions.visit(session).images.update(zip(page.images.inputs, images, strict=True))
        run = page.sessions.start(session, row.tab, sources, address(request))
        run.inputs = dict(zip(inputs, others, strict=True))
        run.show(row.busy())
        run.go(perform(run, sources, others, more))
        await asyncio.sleep(0)  # what the tab shows at once goes with the first update: each costs as much as the next
        async for updates in run.watch():
            yield updates

    return listen


def _at_rest(run: Run) -> Updates:
    """Beside a failure nothing shall seem to go on."""
    texts = {part: text for part, text in run.shown.items() if isinstance(text, str)}
    return {part: rest for part, text in texts.items() if (rest := words.at_rest(text)) != text}


async def end_run(page: Page, row: RunRow, session: str) -> Updates:
    """End a person's run on a tab for good, and give the updates of a row in which nothing runs."""
    run = page.sessions.forget(session, row.tab)
    if run is not None:
        patience = time.monotonic() + PATIENCE
        # What it has sent must come before what is sent now.
        while (run.watchers or not run.ended) and time.monotonic() < patience:
            await asyncio.sleep(0.02)
    return row.idle() | {row.notice: ""}


def clear_when_new(page: Page, row: RunRow, blank: Callable[[], Updates], adding: bool = False) -> None:
    """Let new images take away what a tab shows about those before, and end the run that still writes about them.

    `blank` gives the updates of an empty tab; with `adding`, images that come after the others change nothing.
    """
    page.blanks.append((row, blank, adding))


async def blank_stale(page: Page, session: str, held: Updates) -> Updates:
    """The updates that empty the tabs whose results are about other images than the page shows now; `held` are the
    values of the image panel's components."""
    visit, values = page.sessions.visit(session), [held[part] for part in page.images.inputs]
    if page.images.as_opened(values) and time.monotonic() < visit.back.get(session, 0.0) + SETTLING:
        return {}
    visit.images = held
    updates: Updates = {}
    for row, blank, adding in page.blanks:
        if page.sessions.is_stale(session, row.tab, page.images.sources(values, row.single), adding):
            updates |= blank() | await end_run(page, row, session)
    return updates


def watch_images(page: Page) -> None:
    """Let every tab that asked for it hear of new images; call it when all tabs are built."""

    async def look(request: gr.Request, *values: Any) -> Updates:
        held = dict(zip(watched, values, strict=True))
        return await blank_stale(page, request.session_hash or "", held) or {page.images.truth: gr.skip()}

    watched = [*page.images.inputs, page.images.truth, page.images.questions]
    outputs = {component for row, blank, _ in page.blanks for component in [*row.outputs, *blank()]}
    triggers = [component.change for component in page.images.inputs]
    gr.on(triggers, look, watched, [page.images.truth, *outputs], queue=False, **QUICK)


def boxes_gallery(label: str, elem_id: str) -> gr.Gallery:
    """Images with boxes drawn on them, hidden until there are any."""
    return gr.Gallery(
        label=label,
        columns=2,
        object_fit="contain",
        height="auto",
        fit_columns=False,
        elem_classes="drawn-boxes",
        interactive=False,
        visible=False,
        buttons=["fullscreen", "download"],
        elem_id=elem_id,
    )
