"""The Versus tab: one image and prompt to two models, their answers beside each other, and the visitor's vote."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from vlm_demo.detection import parse_written
from vlm_demo.results import EngineError
from vlm_demo.tasks import TASKS
from vlm_demo.versus import VERDICTS, Vote, kept, places, vote, votes_csv, votes_json

from .. import jobs
from ..common import QUICK, Page, RunRow, Unasked, Updates, clear_when_new, handler, run_row
from ..duels import NAMES, Duel, Side, agreement, drawing, figures, heard, marks, tally, view
from ..gradio_private import save_bytes_to_cache
from ..image_components import load_images
from ..marks import Mark
from ..runs import Run, Sources, in_thread
from ..settings import read_settings, settings_panel
from ..worlds import title

if TYPE_CHECKING:
    from vlm_demo.engine import Generation

KINDS = [("Describe it", "caption"), ("Find the objects", "detect"), ("Answer a question", "vqa")]
ASKED = {  # the box for words: its label, and what stands in it while it is empty
    "detect": ("Only this", "Everything, or for example: dogs, the person on the left"),
    "vqa": ("Your question", "How many dogs are there?"),
}
SIDE = 640  # pixels; the images under the boxes are no larger


def choices(page: Page) -> list[tuple[str, str]]:
    """The models and their untrained selves, each by title and name."""
    trained = page.engine.models
    untrained = [twin for model in trained if (twin := page.engine.untrained(model)) is not None]
    return [(title(page, model), model) for model in (*trained, *untrained)]


@dataclass
class VersusTab:
    """The components that the listeners write to, and what is kept between them: the duel and the visitor's votes."""

    page: Page
    row: RunRow
    boards: list[gr.HTML]
    ballot: gr.Row
    news: gr.HTML
    agreed: gr.HTML
    sizes: gr.HTML
    offers: gr.Row
    files: list[gr.DownloadButton]
    duel: gr.State
    votes: gr.State

    def blank(self) -> Updates:
        """A tab on which nobody has answered yet."""
        return {
            **dict.fromkeys(self.boards, ""),
            **dict.fromkeys((self.news, self.agreed, self.sizes), ""),
            self.ballot: gr.update(visible=False),
            self.duel: None,
        }

    def views(self, duel: Duel) -> Updates:
        """Both sides."""
        return {board: view(self.page, duel, number) for number, board in enumerate(self.boards)}

    async def work(
        self, run: Run, sources: Sources, left: str, right: str, kind: str, text: str, blind: bool, *values: Any
    ) -> AsyncIterator[Updates]:
        """Ask both models, one after the other; the vote comes when both have answered."""
        page, boards = self.page, self.boards
        yield self.blank()
        [image] = await in_thread(load_images, sources)
        if left == right:
            raise EngineError("Choose two different models, one for each side.")
        if kind == "vqa" and not text.strip():
            raise EngineError("Please type a question first.")
        small = image.rgb.copy()
        small.thumbnail((SIDE, SIDE))
        order = [left, right]
        if blind:
            random.SystemRandom().shuffle(order)
        duel = Duel((Side(order[0]), Side(order[1])), blind)
        settings = read_settings(*values)
        yield {boards[1]: view(page, duel, 1)}
        for number, board in enumerate(boards):
            before = duel.sides[number]
            begin = partial(jobs.about_one(page.engine, kind, image, text), settings, run.session, before.model)
            try:
                async for side in answer(run, begin, before, small):
                    duel = duel.having(number, side)
                    yield {board: view(page, duel, number)}
            except EngineError as error:
                duel = duel.having(number, replace(duel.sides[number], trouble=str(error)))
                yield {board: view(page, duel, number)}
            if run.stopped:
                break
        if not duel.whole:
            yield {boards[1]: "" if duel.sides[1].result is None and not duel.sides[1].trouble else gr.skip()}
            return
        yield self.finished(duel, small)

    def finished(self, duel: Duel, image: Image.Image) -> Updates:
        """Both have answered: where their boxes agree, and unless whose they are is hidden, sizes and times."""
        updates: Updates = {}
        if all(side.result.parsed is not None for side in duel.sides):
            parsed = [side.result.parsed for side in duel.sides]
            matches = places(*(one.objects for one in parsed))
            for number, side in enumerate(duel.sides):
                duel = duel.having(number, replace(side, body=drawing(image, parsed[number], marks(matches, number))))
            updates |= {**self.views(duel), self.agreed: agreement(matches)}
        if not duel.hidden:
            updates[self.sizes] = figures(self.page, duel)
        updates[self.news] = f'<p class="only-heard" role="status">{escape(heard(duel))}</p>'
        return updates | {self.duel: duel, self.ballot: gr.update(visible=True)}

    def decide(self, verdict: str, duel: Duel | None, votes: list[Vote]) -> Updates:
        """Note a vote, and tell whose answers these were."""
        if duel is None:
            return {self.ballot: gr.update(visible=False)}
        left, right = (side.result for side in duel.sides)
        votes = kept(votes, vote(left, right, verdict, duel.hidden))
        shown = replace(duel, hidden=False)
        thanks = f"Your vote: {VERDICTS[verdict].lower()}. " + ", ".join(
            f"{name.lower()} is {title(self.page, side.model)}" for name, side in zip(NAMES, duel.sides, strict=True)
        )
        written = {"votes.csv": votes_csv(votes), "votes.json": votes_json(votes)}
        folder = self.files[0].GRADIO_CACHE
        paths = [save_bytes_to_cache(text.encode(), name, folder) for name, text in written.items()]
        return {
            **self.views(shown),
            self.news: f'<p class="quiet" role="status">{escape(thanks)}. {tally(votes)}</p>',
            self.sizes: figures(self.page, shown),
            self.ballot: gr.update(visible=False),
            self.offers: gr.update(visible=True),
            self.duel: None,  # one vote a pair
            self.votes: votes,
            **dict(zip(self.files, paths, strict=True)),
        }


async def answer(run: Run, begin: Callable[[], Generation], side: Side, image: Image.Image) -> AsyncIterator[Side]:
    """One side as it grows; boxes appear as each is complete."""
    drawn = -1  # objects in the drawing
    async for _, result in run.follow(begin):
        body = f'<p class="answer">{escape(result.text)}</p>'
        if result.task == "detect":
            parsed = result.parsed or parse_written(result.text, image.size)
            body = side.body
            if len(parsed.objects) > drawn and (result.parsed is not None or not parsed.failed):
                drawn = len(parsed.objects)
                boxes = [Mark(o["label"], o["bbox"]) for o in parsed.objects]
                body = await in_thread(drawing, image, parsed, boxes)
        side = replace(side, result=result, body=body)
        yield side


def ask_for(kind: str) -> Any:
    """The update of the box for words."""
    if kind not in ASKED:
        return gr.update(visible=False)
    label, placeholder = ASKED[kind]
    return gr.update(visible=True, label=label, placeholder=placeholder, value="")


def duellists(first: int, model: str, values: Sequence[Any]) -> Sequence[str]:
    """The models to answer unasked, which stand among the values of the tab's inputs from `first` on; nobody where one
    would be put beside itself."""
    left, right = values[first : first + 2]
    return [] if left == right else [left, right]


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    offered = choices(page)
    with gr.Row():
        models = [
            gr.Dropdown(
                offered,
                value=offered[min(number, len(offered) - 1)][1],
                label=f"{name} model",
                filterable=False,
                min_width=220,
                elem_id=f"versus-{name.lower()}-model",
            )
            for number, name in enumerate(NAMES)
        ]
    for one in models:  # more models may come in while the page is there
        page.follow(one, lambda model: gr.update(choices=choices(page)))
    gr.on(None, lambda: [gr.update(choices=choices(page))] * len(models), None, models, queue=False, **QUICK)
    kind = gr.Radio(KINDS, value="caption", label="What both do", elem_id="versus-kind")
    box = gr.Textbox(max_lines=3, visible=False, elem_id="versus-box")
    blind = gr.Checkbox(label="Blind", info="Sides by lot, names hidden until you have voted.", elem_id="versus-blind")
    row = run_row(page, "versus", "Ask both", single=True)
    with gr.Row(elem_classes="duels answer-place"):
        boards = [gr.HTML(elem_classes="duel", elem_id=f"versus-answer-{name.lower()}") for name in NAMES]
    row.notice.render()
    with gr.Row(elem_classes="row-of-buttons", visible=False) as ballot:
        gr.HTML('<span class="lead">Which is better?</span>')
        verdicts = {
            verdict: gr.Button(text, size="sm", elem_id=f"versus-vote-{verdict}") for verdict, text in VERDICTS.items()
        }
    news = gr.HTML(elem_classes="optional", elem_id="versus-news")
    agreed = gr.HTML(elem_classes="optional", elem_id="versus-agreement")
    sizes = gr.HTML(elem_classes="optional", elem_id="versus-figures")
    with gr.Row(elem_classes="row-of-buttons", visible=False) as offers:
        gr.HTML('<span class="lead">Your votes</span>')
        files = [gr.DownloadButton(name, size="sm", elem_id=f"versus-{name.lower()}") for name in ("CSV", "JSON")]
    with gr.Accordion("Settings", open=False):
        panel = settings_panel("versus", TASKS["caption"].max_new_tokens)
    duel, votes = gr.State(None), gr.State([])

    tab = VersusTab(page, row, boards, ballot, news, agreed, sizes, offers, files, duel, votes)
    inputs = [*models, kind, box, blind, *panel]
    running, needed = handler(page, row, tab.work, inputs), [*page.images.inputs, *inputs]
    shown = [*row.outputs, *tab.blank()]
    page.on([row.run.click, box.submit], running, needed, shown)
    page.unasked[row.tab] = Unasked(running, needed, shown, partial(duellists, len(page.images.inputs)))
    clear_when_new(page, row, tab.blank)
    outputs = [*boards, news, sizes, ballot, offers, duel, votes, *files]
    page.parts.update(outputs)
    for verdict, button in verdicts.items():

        async def press(request: gr.Request, duel: Duel | None, votes: list[Vote], verdict: str = verdict) -> Updates:
            updates = tab.decide(verdict, duel, votes)
            page.sessions.show(request.session_hash or "", row.tab, updates)
            return updates

        button.click(press, [duel, votes], outputs, **QUICK)
    kind.input(ask_for, kind, box, queue=False, **QUICK)
