"""What every tab shares: who runs what, the row of buttons, the settings, and errors in words."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from vlm_demo.images import ImageError
from vlm_demo.results import EngineError, Result, SamplingParameters

from . import words

if TYPE_CHECKING:
    from vlm_demo.engine import Engine, Generation
    from vlm_demo.router import Router

log = logging.getLogger(__name__)

Updates = dict[Any, Any]
UPDATE_SECONDS = 0.1  # at most ten updates of the page a second,
UPDATES = 50  # and about so many of all pages together: in a crowd each update would take time from the model
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


class Replaced(Exception):
    """A newer run of the same person on the same tab has taken over."""


class Run:
    """One press of a Run button: the generations behind it, and whether it was stopped."""

    def __init__(self, session: str, everyone: Sized = ()) -> None:
        """`everyone`: the runs in progress, which share the updates of all pages."""
        self.session = session  # the engine lets sessions take turns
        self.everyone = everyone
        self.stopped = False
        self.replaced = False
        self._generations: list[Generation] = []

    def follow(self, *generations: Generation) -> Iterator[tuple[int, Result]]:
        """Yield (index, latest result) of generations that run at once, each in turn to its end.

        Ten times a second, or less often in a crowd.

        Raises Replaced when another run took over. Whatever ends this early cancels what is still being written.
        """
        self._generations = list(generations)
        try:
            if self.stopped:  # Stop was pressed before the model had started
                self.stop()
            for index, generation in enumerate(generations):
                for result in generation.partials(max(UPDATE_SECONDS, len(self.everyone) / UPDATES)):
                    if self.replaced:
                        raise Replaced
                    yield index, result
        finally:
            for generation in generations:
                generation.cancel()

    def stop(self) -> None:
        self.stopped = True
        for generation in self._generations:
            generation.cancel()


class Sessions:
    """The runs in progress, by browser session and tab, so that Stop reaches this person's run and no other."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], Run] = {}
        self._lock = threading.Lock()

    def start(self, session: str, tab: str) -> Run:
        """A new run; an older one of the same person on the same tab ends."""
        run = Run(session, self._runs)
        with self._lock:
            old = self._runs.get((session, tab))
            self._runs[session, tab] = run
        if old is not None:
            old.replaced = True
            old.stop()
        return run

    def finish(self, session: str, tab: str, run: Run) -> None:
        with self._lock:
            if self._runs.get((session, tab)) is run:
                del self._runs[session, tab]

    def stop(self, session: str, tab: str) -> None:
        with self._lock:
            run = self._runs.get((session, tab))
        if run is not None:
            run.stop()

    def close(self, session: str) -> None:
        """Stop everything of a browser that has gone."""
        with self._lock:
            gone = [key for key in self._runs if key[0] == session]
            runs = [self._runs.pop(key) for key in gone]
        for run in runs:
            run.stop()


@dataclass
class Page:
    """What the tabs are built on: the engine, the router, the models to choose from, the runs and their listeners."""

    engine: Engine
    router: Router
    models: Sequence[str] = ()
    sessions: Sessions = field(default_factory=Sessions)
    runs: list[gr.events.Dependency] = field(default_factory=list)  # after each of them the status line looks again

    def on(self, triggers: list[Any], listener: Callable[..., Iterator[Updates]], inputs: Any, outputs: Any) -> None:
        """Let triggers run the model through a listener made by `handler`."""
        self.runs.append(gr.on(triggers, listener, inputs, outputs, **MODEL_CALL))


@dataclass
class RunRow:
    """Run, Stop and the line in which a tab speaks to the person."""

    tab: str
    run: gr.Button
    stop: gr.Button
    notice: gr.HTML

    @property
    def outputs(self) -> list[gr.components.Component]:
        return [self.stop, self.notice]


def run_row(page: Page, tab: str, label: str) -> RunRow:
    """The two buttons, side by side, and an empty line for notices below them."""
    with gr.Row(elem_classes="row-of-buttons"):
        run = gr.Button(label, variant="primary", elem_classes="run-button", elem_id=f"{tab}-run")
        stop = gr.Button("Stop", elem_classes="stop-button", elem_id=f"{tab}-stop")
    notice = gr.HTML(elem_id=f"{tab}-notice", elem_classes="optional")

    async def press(request: gr.Request) -> None:  # async: needs no thread, so it works however busy the rest is
        page.sessions.stop(request.session_hash or "", tab)

    stop.click(press, queue=False, **QUICK)
    return RunRow(tab, run, stop, notice)


def handler(page: Page, row: RunRow, work: Callable[..., Iterator[Updates]]) -> Callable[..., Iterator[Updates]]:
    """Make `work(run, *inputs)`, which yields updates, into a listener that can be stopped and that fails in words."""

    def listen(request: gr.Request, *inputs: Any) -> Iterator[Updates]:
        session = request.session_hash or ""
        run = page.sessions.start(session, row.tab)
        notice = ""
        try:
            yield {row.stop: gr.update(variant="stop"), row.notice: ""}
            for updates in work(run, *inputs):
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
        if notice:
            gr.Warning(notice)
            yield {row.stop: gr.update(variant="secondary"), row.notice: words.notice(notice, bad=True)}
        else:
            yield {row.stop: gr.update(variant="secondary")}

    return listen


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
