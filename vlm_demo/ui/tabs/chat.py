"""The Chat tab: a conversation about one to four pictures, with stop, retry, edit and clear."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import gradio as gr

from vlm_demo.tasks import TASKS

from .. import draws, jobs, words
from ..common import QUICK, Page, Updates, clear_when_new, end_run, handler, retry_settings, run_row, settings_panel
from ..pictures import load_pictures
from ..runs import Run, Sources, in_thread

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
    likely = gr.HTML(elem_classes="optional", elem_id="chat-alternatives")
    with gr.Row(elem_classes="row-of-buttons"):
        clear = gr.Button("New conversation", size="sm", elem_id="chat-clear")
    with gr.Accordion("Settings", open=False):
        panel = settings_panel("chat", TASKS["vqa"].max_new_tokens)

    async def ask(
        run: Run, sources: Sources, turns: list[Turn], question: str, values: Sequence[float], again: bool = False
    ) -> AsyncIterator[Updates]:
        """Ask one more question after `turns`; `again` samples another wording."""
        opened = await in_thread(load_pictures, sources)
        settings = panel.read(*values)
        settings = retry_settings(settings) if again else settings
        job = await in_thread(jobs.in_chat, page.engine, page.router, question, opened, turns)
        first = True
        async for _, result in run.follow(partial(job, settings, run.session, run.model)):
            if first:  # the question has been accepted
                yield {box: "", chatbot: messages([*turns, (question, "")]), line: "", likely: ""}
                first = False
            now = [*turns, (question, result.text)]
            updates = {chatbot: messages(now), line: words.quiet(result, spoken=False)}
            if result.finish_reason != "running":
                updates |= {
                    outputs_turns: now,
                    likely: words.alternatives(result),
                    row.notice: page.outside([result], run.model),
                }
            yield updates

    outputs_turns = turns
    asked, inputs = [turns, box, *panel.inputs], [turns, *panel.inputs]
    outputs = [*row.outputs, turns, chatbot, box, line, likely]

    def send(run: Run, sources: Sources, turns: list[Turn], question: str, *values: float) -> AsyncIterator[Updates]:
        return ask(run, sources, turns, question, values)

    sending = handler(page, row, send, asked)
    page.on([row.run.click, box.submit], sending, [*page.images.inputs, *asked], outputs)

    async def begin(run: Run, sources: Sources, turns: list[Turn], *values: float) -> AsyncIterator[Updates]:
        """An example, which makes way for the first question of the visitor's own."""
        async for updates in ask(run, sources, turns, draws.QUESTIONS[0], values):
            yield {part: update for part, update in updates.items() if part not in (outputs_turns, box)}

    page.unasked[row.tab] = (handler(page, row, begin, inputs), [*page.images.inputs, *inputs], outputs)

    def retry(run: Run, sources: Sources, turns: list[Turn], *values: float, index: int) -> AsyncIterator[Updates]:
        earlier = turns[: index // 2]
        question = turns[len(earlier)][0] if turns else draws.QUESTIONS[0]
        return ask(run, sources, earlier, question, values, again=True)

    def edit(
        run: Run, sources: Sources, turns: list[Turn], *values: float, index: int, question: str
    ) -> AsyncIterator[Updates]:
        return ask(run, sources, turns[: index // 2], question, values)

    retrying, editing = handler(page, row, retry, inputs), handler(page, row, edit, inputs)

    async def on_retry(event: gr.RetryData, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        async for updates in retrying(request, *values, index=_first(event.index)):
            yield updates

    async def on_edit(event: gr.EditData, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        question = str(event.value).replace(INVISIBLE, "")
        async for updates in editing(request, *values, index=_first(event.index), question=question):
            yield updates

    page.on([chatbot.retry], on_retry, [*page.images.inputs, *inputs], outputs)
    page.on([chatbot.edit], on_edit, [*page.images.inputs, *inputs], outputs)

    async def undo(request: gr.Request, before: list[Turn]) -> Updates:
        earlier, last = before[:-1], before[-1:]
        updates = {turns: earlier, chatbot: messages(earlier), box: last[0][0] if last else "", line: "", likely: ""}
        page.sessions.show(request.session_hash or "", row.tab, updates)
        return updates

    chatbot.undo(undo, turns, [turns, chatbot, box, line, likely], **QUICK)

    def blank() -> Updates:
        return {turns: [], chatbot: [], line: "", likely: ""}

    async def forget(request: gr.Request) -> Updates:
        return blank() | await end_run(page, row, request.session_hash or "")

    clear.click(forget, None, [*row.outputs, *blank()], queue=False, **QUICK)
    clear_when_new(page, row, blank, adding=True)  # a conversation goes on when images are added to it

    def suggest(questions: list[str]) -> list[Any]:
        shown = [gr.update(value=question, visible=True) for question in questions[:SUGGESTIONS]]
        hidden = [gr.update(visible=False)] * (SUGGESTIONS - len(shown))
        return [gr.update(visible=bool(shown)), *shown, *hidden]

    page.images.questions.change(suggest, page.images.questions, [chips, *suggested], **QUICK)
    for button in suggested:
        page.on([button.click], sending, [*page.images.inputs, turns, button, *panel.inputs], outputs)


def _first(index: int | tuple[int, int] | list[int]) -> int:
    return index[0] if isinstance(index, list | tuple) else index
