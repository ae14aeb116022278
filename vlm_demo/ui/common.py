"""What every tab shares: who runs what, the row of buttons, the settings, and errors in words."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from vlm_demo.images import ImageError
from vlm_demo.results import EngineError, Result, SamplingParameters

from . import words
from .owner import Owner, address
from .pictures import ImageSet
from .runs import Replaced, Sessions

if TYPE_CHECKING:
    from vlm_demo.engine import Engine
    from vlm_demo.router import Router

log = logging.getLogger(__name__)

Updates = dict[Any, Any]
HIDDEN = "hidden"  # there, but not seen: what comes while a component is being added to the page would be lost
PATIENCE = 3.0  # seconds that a run gets to end at its next token
RETRY_TEMPERATURE = 0.8  # another wording is wanted, so a greedy setting would be of no use

# Listeners that call the model share one queue, wide enough for a class: whoever waits shall wait in the engine's line,
# which is fair and tells the place. Each takes a thread while it waits.
MODEL_CALLS = 192
MODEL_CALL: dict[str, Any] = {
    "concurrency_id": "model",
    "concurrency_limit": MODEL_CALLS,
    "api_visibility": "private",
    "show_progress": "hidden",
}
QUICK: dict[str, Any] = {"concurrency_limit": 64, "api_visibility": "private", "show_progress": "hidden"}


@dataclass
class Page:
    """What the tabs are built on: the engine, the router, who its owner is, the images, the runs and their listeners;
    what follows the choice of a model: components, each with what it shows for a model; and the tabs that new images
    blank."""

    engine: Engine
    router: Router
    owner: Owner = field(default_factory=Owner)
    sessions: Sessions = field(default_factory=Sessions)
    images: ImageSet = field(init=False)
    runs: list[gr.events.Dependency] = field(default_factory=list)  # after each of them the status line looks again
    followers: list[tuple[gr.components.Component, Callable[[str], Any]]] = field(default_factory=list)
    blanks: list[tuple[RunRow, Callable[[], Updates], bool]] = field(default_factory=list)

    def follow(self, component: gr.components.Component, show: Callable[[str], Any]) -> None:
        """Let a component show `show(model)` whenever a visitor chooses a model."""
        self.followers.append((component, show))

    def model(self, session: str | None) -> str:
        """The model that a visitor has chosen."""
        return self.sessions.model(session or "") or self.engine.model

    def world(self, session: str | None) -> str:
        """Where the images of a visitor's model come from."""
        return self.engine.description(self.model(session)).samples

    def outside(self, results: Sequence[Result], model: str | None) -> str:
        """The notice for pictures outside a model's world, or for a question unlike those it knows; empty where all is
        familiar."""
        about = self.engine.description(model)
        if any(result.outside for result in results):
            return words.notice(about.notice or words.OUTSIDE)
        unfamiliar = any(result.unfamiliar for result in results)
        return words.notice(about.unfamiliar or words.UNFAMILIAR) if unfamiliar else ""

    def on(self, triggers: list[Any], listener: Callable[..., Iterator[Updates]], inputs: Any, outputs: Any) -> None:
        """Let triggers run the model through a listener made by `handler`; a newer run takes over from an older one."""
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


def run_row(page: Page, tab: str, label: str, single: bool = False) -> RunRow:
    """The two buttons, side by side. The tab renders the notice where it pushes nothing away: below its answer."""
    with gr.Row(elem_classes="row-of-buttons"):
        run = gr.Button(label, variant="primary", elem_classes="run-button", elem_id=f"{tab}-run")
        stop = gr.Button("Stop", variant="stop", visible=HIDDEN, elem_classes="stop-button", elem_id=f"{tab}-stop")
        gr.HTML('<span class="hint"><kbd>Ctrl</kbd> <kbd>Enter</kbd></span>')
    notice = gr.HTML(elem_id=f"{tab}-notice", elem_classes="optional", render=False)

    async def press(request: gr.Request) -> None:  # async: needs no thread, so it works however busy the rest is
        page.sessions.stop(request.session_hash or "", tab)

    stop.click(press, queue=False, **QUICK)
    return RunRow(tab, label, single, run, stop, notice)


def handler(page: Page, row: RunRow, work: Callable[..., Iterator[Updates]]) -> Callable[..., Iterator[Updates]]:
    """Make `work(run, sources, *inputs)`, which yields updates, into a listener of the images' inputs and these.

    It can be stopped, fails in words, and shows no more once a newer run or a new image has taken over.
    """

    def listen(request: gr.Request, *values: Any, **more: Any) -> Iterator[Updates]:
        session = request.session_hash or ""
        known = len(page.images.inputs)
        sources, inputs = page.images.sources(values[:known], row.single), values[known:]
        run = page.sessions.start(session, row.tab, sources, address(request))
        notice = ""
        try:
            yield row.busy()
            for updates in work(run, sources, *inputs, **more):
                if run.replaced:
                    raise Replaced
                if updates:  # gradio takes an empty dict for a missing answer
                    yield updates
        except Replaced:
            return
        except (ImageError, EngineError) as error:
            notice = str(error)
        except Exception:
            log.exception("the %s tab failed", row.tab)
            notice = "Something went wrong here; the log of the server says what. Your input is still there: try again."
        finally:
            page.sessions.finish(session, row.tab, run)
        yield row.idle(notice)

    return listen


async def end_run(page: Page, row: RunRow, session: str) -> Updates:
    """End a person's run on a tab for good, and give the updates of a row in which nothing runs."""
    run = page.sessions.running(session, row.tab)
    if run is not None:
        run.replace()
        patience = time.monotonic() + PATIENCE
        while not run.ended and time.monotonic() < patience:  # what it has sent must come before what is sent now
            await asyncio.sleep(0.02)
    return row.idle() | {row.notice: ""}


def clear_when_new(page: Page, row: RunRow, blank: Callable[[], Updates], adding: bool = False) -> None:
    """Let new images take away what a tab shows about those before, and end the run that still writes about them.

    `blank` gives the updates of an empty tab; with `adding`, images that come after the others change nothing.
    """
    page.blanks.append((row, blank, adding))


def watch_images(page: Page) -> None:
    """Let every tab that asked for it hear of new images; call it when all tabs are built."""

    async def look(request: gr.Request, *values: Any) -> Updates:
        session = request.session_hash or ""
        updates: Updates = {}
        for row, blank, adding in page.blanks:
            if page.sessions.is_stale(session, row.tab, page.images.sources(values, row.single), adding):
                updates |= blank() | await end_run(page, row, session)
        return updates or {page.images.truth: gr.skip()}

    outputs = {component for row, blank, _ in page.blanks for component in [*row.outputs, *blank()]}
    triggers = [component.change for component in page.images.inputs]
    gr.on(triggers, look, page.images.inputs, [page.images.truth, *outputs], queue=False, **QUICK)


@dataclass
class SettingsPanel:
    """The settings that are folded away; `inputs` go to a listener, `read` makes SamplingParameters of their values."""

    inputs: list[gr.components.Component]

    @staticmethod
    def read(greedy: bool, temperature: float, top_p: float, length: float) -> SamplingParameters:
        return SamplingParameters(
            temperature=0.0 if greedy else float(temperature),
            top_p=1.0 if greedy else float(top_p),
            max_new_tokens=int(length),
        )


def settings_panel(tab: str, length: int) -> SettingsPanel:
    """Greedy or sampled, temperature, top-p and the longest answer (in tokens); call it inside an Accordion."""
    greedy = gr.Checkbox(value=True, label="Greedy", info="Always take the likeliest word.", elem_id=f"{tab}-greedy")
    temperature = gr.Slider(0.1, 2.0, 0.8, step=0.1, label="Temperature", info="Higher is bolder.", interactive=False)
    top_p = gr.Slider(
        0.1, 1.0, 0.95, step=0.05, label="Top-p", info="Share of likely words to draw from.", interactive=False
    )
    limit = gr.Slider(1, 256, length, step=1, label="Length", info="Tokens at most.", elem_id=f"{tab}-length")
    sampled = [temperature, top_p]
    greedy.input(lambda on: [gr.update(interactive=not on)] * 2, greedy, sampled, queue=False, **QUICK)
    return SettingsPanel([greedy, *sampled, limit])


def retry_settings(settings: SamplingParameters) -> SamplingParameters:
    """The same settings, but sampled: for another wording of an answer."""
    if settings.temperature > 0:
        return settings
    return replace(settings, temperature=RETRY_TEMPERATURE, top_p=0.95)


def boxes_gallery(label: str, elem_id: str) -> gr.Gallery:
    """Pictures with boxes drawn on them, hidden until there are any."""
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
