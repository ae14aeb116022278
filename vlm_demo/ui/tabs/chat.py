"""The Chat tab: a conversation about one to four images, with stop, retry, edit and clear."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from vlm_demo.tasks import TASKS

from .. import draws, jobs, words
from ..common import QUICK, Page, RunRow, Unasked, Updates, clear_when_new, end_run, handler, run_row
from ..image_components import load_images
from ..runs import Replaced, Run, Sources, in_thread
from ..settings import read_settings, retry_settings, settings_panel

SUGGESTIONS = 3
INVISIBLE = "\u200b"
PLACEHOLDER = "Ask anything about the image: how many, which colour, where, is there …"

Turn = tuple[str, str]  # question, answer


def shown(text: str) -> str:
    """Text that gr.Chatbot shows letter by letter: an invisible mark keeps `<image>` and `&lt;` from becoming HTML."""
    return re.sub(r"[<&]", lambda match: match[0] + INVISIBLE, text)


def messages(turns: list[Turn]) -> list[dict[str, str]]:
    """Turns as gr.Chatbot shows them."""
    return [
        {"role": role, "content": shown(text) or "…"}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]


@dataclass
class ChatTab:
    """The components that the listeners write to; `turns` holds the conversation, one per browser tab."""

    page: Page
    row: RunRow
    turns: gr.State
    chatbot: gr.Chatbot
    box: gr.Textbox
    line: gr.HTML
    alternatives: gr.HTML

    @property
    def outputs(self) -> list[gr.components.Component]:
        return [*self.row.outputs, self.turns, self.chatbot, self.box, self.line, self.alternatives]

    def blank(self) -> Updates:
        """An empty conversation; what stands in the box is kept."""
        return {self.turns: [], self.chatbot: [], self.line: "", self.alternatives: ""}

    async def ask(
        self,
        run: Run,
        sources: Sources,
        turns: list[Turn],
        question: str,
        values: Sequence[float],
        whole: list[Turn] | None = None,
        again: bool = False,
    ) -> AsyncIterator[Updates]:
        """Ask one more question after `turns`; `again` samples another wording.

        If that fails before anything is written, the conversation is as before: `whole`, where `turns` is a part of it.
        """
        page = self.page
        opened = await in_thread(load_images, sources)
        settings = read_settings(*values)
        settings = retry_settings(settings) if again else settings
        job = await in_thread(jobs.in_chat, page.engine, page.router, question, opened, turns)
        now: list[Turn] = []
        try:
            async for _, result in run.follow(partial(job, settings, run.session, run.model)):
                if not now:  # the question has been accepted
                    asked = messages([*turns, (question, "")])
                    yield {self.box: "", self.chatbot: asked, self.line: "", self.alternatives: ""}
                now = [*turns, (question, result.text)]
                updates = {self.chatbot: messages(now), self.line: words.quiet(result, spoken=False)}
                if result.finish_reason != "running":
                    updates |= {
                        self.turns: now,
                        self.alternatives: words.alternatives(result),
                        self.row.notice: page.outside([result], run.model),
                    }
                yield updates
        except Replaced:
            raise
        except Exception:
            if now and now[-1][1]:  # what has been written stays, with its question
                yield {self.turns: now}
            elif now:
                before = turns if whole is None else whole
                yield {self.turns: before, self.chatbot: messages(before), self.box: "" if again else question}
            raise

    def send(
        self, run: Run, sources: Sources, turns: list[Turn], question: str, *values: float
    ) -> AsyncIterator[Updates]:
        """Ask what stands in the box."""
        return self.ask(run, sources, turns, question, values)

    async def begin(self, run: Run, sources: Sources, turns: list[Turn], *values: float) -> AsyncIterator[Updates]:
        """An example, which makes way for the first question of the visitor's own."""
        async for updates in self.ask(run, sources, turns, draws.QUESTIONS[0], values):
            yield {part: update for part, update in updates.items() if part not in (self.turns, self.box)}

    def retry(
        self, run: Run, sources: Sources, turns: list[Turn], *values: float, index: int
    ) -> AsyncIterator[Updates]:
        """Ask the question of message `index` again."""
        earlier = turns[: index // 2]
        question = turns[len(earlier)][0] if turns else draws.QUESTIONS[0]
        return self.ask(run, sources, earlier, question, values, whole=turns, again=True)

    def edit(
        self, run: Run, sources: Sources, turns: list[Turn], *values: float, index: int, question: str
    ) -> AsyncIterator[Updates]:
        """Ask another question in place of message `index`, which ends the conversation there."""
        return self.ask(run, sources, turns[: index // 2], question, values, whole=turns)

    def undo(self, session: str, turns: list[Turn]) -> Updates:
        """Take the last turn back, its question into the box."""
        earlier, last = turns[:-1], turns[-1:]
        updates = {
            self.turns: earlier,
            self.chatbot: messages(earlier),
            self.box: last[0][0] if last else "",
            self.line: "",
            self.alternatives: "",
        }
        self.page.sessions.show(session, self.row.tab, updates)
        return updates


def suggestions(questions: list[str]) -> list[Any]:
    """The updates of the row of suggested questions and of its buttons."""
    shown = [gr.update(value=question, visible=True) for question in questions[:SUGGESTIONS]]
    hidden = [gr.update(visible=False)] * (SUGGESTIONS - len(shown))
    return [gr.update(visible=bool(shown)), *shown, *hidden]


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    turns = gr.State([])  # the conversation, one per browser tab
    chatbot = gr.Chatbot(
        label="Conversation",
        show_label=False,  # it would cover the first question
        height=400,
        placeholder=PLACEHOLDER,
        render_markdown=False,  # what people and models write is shown as it is
        allow_tags=False,
        editable="user",
        buttons=["copy"],
        feedback_options=None,
        elem_classes="answer-place",
        elem_id="chat-log",
    )
    first: list[str] = page.images.questions.value
    with gr.Row(elem_classes="row-of-buttons", visible=bool(first), elem_id="chat-suggestions") as chips:
        suggested = [
            gr.Button(question, size="sm", visible=bool(question))
            for question in [*first, *[""] * SUGGESTIONS][:SUGGESTIONS]
        ]
    box = gr.Textbox(
        label="Your question", placeholder="How many cats are there?", lines=1, max_lines=4, elem_id="chat-box"
    )
    row = run_row(page, "chat", "Ask")
    line = gr.HTML(elem_classes="line", elem_id="chat-line")
    row.notice.render()
    alternatives = gr.HTML(elem_classes="optional", elem_id="chat-alternatives")
    with gr.Row(elem_classes="row-of-buttons"):
        clear = gr.Button("New conversation", size="sm", elem_id="chat-clear")
    with gr.Accordion("Settings", open=False):
        panel = settings_panel("chat", TASKS["vqa"].max_new_tokens)

    tab = ChatTab(page, row, turns, chatbot, box, line, alternatives)
    images, asked, inputs = page.images.inputs, [turns, box, *panel], [turns, *panel]
    sending = handler(page, row, tab.send, asked)
    page.on([row.run.click, box.submit], sending, [*images, *asked], tab.outputs)
    page.unasked[row.tab] = Unasked(handler(page, row, tab.begin, inputs), [*images, *inputs], tab.outputs)
    retrying, editing = handler(page, row, tab.retry, inputs), handler(page, row, tab.edit, inputs)

    async def on_retry(event: gr.RetryData, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        async for updates in retrying(request, *values, index=_first(event.index)):
            yield updates

    async def on_edit(event: gr.EditData, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        question = str(event.value).replace(INVISIBLE, "")
        async for updates in editing(request, *values, index=_first(event.index), question=question):
            yield updates

    async def undo(request: gr.Request, turns: list[Turn]) -> Updates:
        return tab.undo(request.session_hash or "", turns)

    async def forget(request: gr.Request) -> Updates:
        return tab.blank() | await end_run(page, row, request.session_hash or "")

    page.on([chatbot.retry], on_retry, [*images, *inputs], tab.outputs)
    page.on([chatbot.edit], on_edit, [*images, *inputs], tab.outputs)
    chatbot.undo(undo, turns, [turns, chatbot, box, line, alternatives], **QUICK)
    clear.click(forget, None, [*row.outputs, *tab.blank()], queue=False, **QUICK)
    clear_when_new(page, row, tab.blank, adding=True)  # a conversation goes on when images are added to it
    page.images.questions.change(suggestions, page.images.questions, [chips, *suggested], **QUICK)
    for button in suggested:
        page.on([button.click], sending, [*images, turns, button, *panel], tab.outputs)


def _first(index: int | tuple[int, int] | list[int]) -> int:
    return index[0] if isinstance(index, list | tuple) else index
