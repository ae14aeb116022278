"""The Auto tab: one box for anything. A router picks the tasks and says how sure it is; a person can overrule it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from vlm_demo.results import EngineError, Result
from vlm_demo.router import CorrectionsFull, Route, record_correction
from vlm_demo.tasks import TASKS

from .. import jobs, words
from ..common import QUICK, Page, RunRow, Unasked, Updates, boxes_gallery, clear_when_new, handler, run_row
from ..image_components import boxes_files, load_images
from ..owner import address
from ..runs import Run, Sources, in_thread
from ..settings import read_settings, settings_panel

REQUEST = "Describe it."  # what stands in the box when the page opens
LENGTH = 160  # tokens
NAMES = {name: "Answer" if name == "vqa" else task.title for name, task in TASKS.items()}
CHOOSE = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", { task: button.dataset.task });
});
"""
OVERRULE = "Not what you meant? Press the right one."
CORRECTIONS = Path("runs/corrections.jsonl")  # where `train.router.review` looks
INVITATION = '<p class="empty">Ask, command, or just name what you want. The chosen task is shown here.</p>'


def card(tasks: Sequence[str], probabilities: Mapping[str, float], lead: str, note: str | None, hint: str) -> str:
    """What was understood, and each task with its probability as a button to press."""
    buttons = ""
    for name in TASKS:
        chosen = name in tasks
        buttons += (
            f'<button type="button" data-task="{name}" aria-pressed="{str(chosen).lower()}"'
            f"{' class=chosen' if chosen else ''}>{NAMES[name]} {words.meter(probabilities[name])}</button>"
        )
    more = "".join(f"<p>{escape(text)}</p>" for text in (note, hint) if text)
    return f'<div class="card"><b role="status">{escape(lead)}</b><div class="chips">{buttons}</div>{more}</div>'


def understand(route: Route, forced: str | None = None) -> tuple[dict[str, str], str]:
    """The tasks to run with the words of each, none where the router is unsure, and the card that says so; `forced` is
    the task that a person has chosen instead."""
    if forced:
        note = f"As you said: {_names([forced])}."
        return {forced: route.text}, card([forced], route.probabilities, note, None, OVERRULE)
    if route.unsure:
        return {}, card([], route.probabilities, route.note or "", None, "")
    lead = f"I take this as: {_names(route.tasks)}." + (" One after the other." if len(route.tasks) > 1 else "")
    return dict(route.parts), card(route.tasks, route.probabilities, lead, route.note, OVERRULE)


def section(title: str, result: Result) -> str:
    """One task's answer."""
    body = f'<p class="answer">{escape(result.text)}</p>'
    if result.parsed is not None:
        body = words.boxes(result.parsed.objects) if result.parsed.objects else ""
        body += words.report(result.parsed)
    elif result.task == "detect":
        body = f'<p class="plain-text">{escape(result.text)}</p>'
    return f'<div class="section"><h2>{escape(title)}</h2>{body}{words.quiet(result)}</div>'


def _names(tasks: Sequence[str]) -> str:
    names = [NAMES[name] for name in tasks]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


@dataclass
class AutoTab:
    """The components that the listeners write to; `asked` holds text and number of images of the last request."""

    page: Page
    row: RunRow
    shown: gr.HTML
    correction: gr.Group
    right: gr.CheckboxGroup
    asked: gr.State
    answers: gr.HTML
    drawn: gr.Gallery

    @property
    def outputs(self) -> list[gr.components.Component]:
        return [*self.row.outputs, self.shown, self.correction, self.right, self.asked, self.answers, self.drawn]

    def blank(self) -> Updates:
        """An empty tab."""
        return {
            self.shown: INVITATION,
            self.correction: gr.update(visible=False),
            self.asked: None,
            self.answers: "",
            self.drawn: gr.update(visible=False, value=None),
        }

    async def work(
        self, run: Run, sources: Sources, text: str, *values: Any, forced: str | None = None
    ) -> AsyncIterator[Updates]:
        """Do what a text asks for, one task after the other; `forced` is the task that a person has chosen instead."""
        page = self.page
        yield self.blank()
        if not text.strip():
            raise EngineError("Type what you want first, for example: describe it, or: how many cats?")
        opened = await in_thread(load_images, sources)
        settings = read_settings(*values)
        route = await in_thread(page.router.route, text, len(opened))
        parts, understood = understand(route, forced)
        yield {
            self.shown: understood,
            self.right: [forced] if forced else [],
            self.asked: (text, len(opened)),
        }
        if not parts:
            return
        done: list[str] = []
        results: list[Result] = []
        boxes: list[tuple[str, str]] = []
        threshold = page.engine.description(run.model).threshold
        for job in jobs.plan(page.engine, parts, opened, run.model):
            async for _, result in run.follow(partial(job.start, settings, run.session, run.model)):
                if result.parsed is not None:  # the boxes that Detect shows
                    result = replace(result, parsed=result.parsed.above(threshold))
                latest = section(job.title, result)
                yield {self.answers: "".join([*done, latest])}
            done.append(latest)
            results.append(result)
            if result.parsed is not None and result.parsed.objects:
                boxes += await in_thread(boxes_files, self.drawn, opened, result.parsed, job.image)
                yield {self.drawn: gr.update(value=boxes, visible=True)}
            if result.finish_reason == "cancelled":
                break
        yield {self.row.notice: page.outside(results, run.model)}


def remember(request: gr.Request, asked: tuple[str, int] | None, tasks: list[str]) -> Any:
    """Keep a correction for the owner to accept; the update hides the form once it is kept or there is no room."""
    if asked is None or not tasks:
        gr.Warning("Choose what it should have been.")
        return gr.skip()
    try:
        record_correction(CORRECTIONS, *asked, tasks, request.session_hash, address(request))
    except CorrectionsFull as why:
        gr.Warning(str(why))
    else:
        gr.Info("Remembered on this machine. The router learns from it once the owner has accepted it.")
    return gr.update(visible=False)


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    box = gr.Textbox(
        value=REQUEST,
        label="What do you want?",
        placeholder="How many cats, and where?   Describe it.   Box everything.   What changed?",
        max_lines=4,
        elem_id="auto-box",
    )
    row = run_row(page, "auto", "Go")
    shown = gr.HTML(INVITATION, js_on_load=CHOOSE, elem_classes="answer-place", elem_id="auto-card")
    answers = gr.HTML(elem_classes="optional", elem_id="auto-answers")
    with gr.Row(elem_classes="row-of-buttons"):
        wrong = gr.Button("Report a wrong choice", size="sm", elem_id="auto-wrong")
    with gr.Group(visible=False) as correction:
        right = gr.CheckboxGroup(
            [(NAMES[name], name) for name in TASKS], label="It should have been", elem_id="auto-right"
        )
        save = gr.Button("Save the correction", size="sm", elem_id="auto-save")
    row.notice.render()
    drawn = boxes_gallery("Boxes", "auto-boxes")
    with gr.Accordion("Settings", open=False):
        panel = settings_panel("auto", LENGTH)
    asked = gr.State(None)  # (text, number of images) of the last request

    tab = AutoTab(page, row, shown, correction, right, asked, answers, drawn)
    inputs = [box, *panel]
    needed = [*page.images.inputs, *inputs]
    running = handler(page, row, tab.work, inputs)
    page.on([row.run.click, box.submit], running, needed, tab.outputs)
    page.unasked[row.tab] = Unasked(running, needed, tab.outputs)

    async def overrule(event: gr.EventData, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        async for updates in running(request, *values, forced=str(event.task)):
            yield updates

    page.on([shown.click], overrule, needed, tab.outputs)
    clear_when_new(page, row, tab.blank)
    wrong.click(lambda: gr.update(visible=True), None, correction, queue=False, **QUICK)
    save.click(remember, [asked, right], correction, **QUICK)
