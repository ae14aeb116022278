"""The Chat tab: a conversation about one to four pictures, with stop, retry, edit and clear."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import gradio as gr

from vlm_demo.tasks import TASKS

from .. import draws, words
from ..common import QUICK, Page, Run, Updates, handler, retry_settings, run_row, settings_panel
from ..pictures import load_pictures, picture_set

MOST_PICTURES = 4
SUGGESTIONS = 3
INVISIBLE = "\u200b"
PLACEHOLDER = "Ask anything about the picture: how many, which colour, where, is there …"

Turn = tuple[str, str]  # question, answer


def shown(text: str) -> str:
    """Text that gr.Chatbot shows letter by letter: an invisible mark keeps `<image>` and `&lt;` from becoming HTML."""
    return re.sub(r"[<&]", lambda found: found[0] + INVISIBLE, text)


def messages(turns: list[Turn]) -> list[dict[str, str]]:
    """Turns as gr.Chatbot shows them."""
    return [
        {"role": role, "content": shown(text) or "…"}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    with gr.Row():
        with gr.Column(scale=5, min_width=300):
            pictures = picture_set("chat", {"New scene": draws.scene}, limit=MOST_PICTURES)
        with gr.Column(scale=6, min_width=300):
            turns = gr.State([])  # the conversation, one per browser tab
            chatbot = gr.Chatbot(
                label="Conversation",
                height=400,
                placeholder=PLACEHOLDER,
                render_markdown=False,  # what people and models write is shown as it is
                allow_tags=False,
                editable="user",
                buttons=["copy"],
                feedback_options=None,
                elem_id="chat-log",
            )
            with gr.Row(elem_classes="row-of-buttons", visible=False) as chips:
                suggested = [gr.Button("", size="sm", visible=False) for _ in range(SUGGESTIONS)]
            box = gr.Textbox(
                label="Your question", placeholder="How many cats are there?", lines=1, max_lines=4, elem_id="chat-box"
            )
            row = run_row(page, "chat", "Ask")
            line = gr.HTML(elem_classes=["optional", "line"], elem_id="chat-line")
            likely = gr.HTML(elem_classes="optional", elem_id="chat-alternatives")
            with gr.Row(elem_classes="row-of-buttons"):
                clear = gr.Button("New conversation", size="sm", elem_id="chat-clear")
            with gr.Accordion("Settings", open=False):
                panel = settings_panel("chat", TASKS["vqa"].max_new_tokens)

    def ask(run: Run, turns: list[Turn], question: str, sources: Any, values: Any, again: bool) -> Iterator[Updates]:
        """Ask one more question after `turns`; `again` samples another wording."""
        opened = load_pictures(sources)
        settings = panel.read(*values)
        generation = page.engine.answer_stream(
            opened, question, turns, retry_settings(settings) if again else settings, run.session
        )
        yield {box: "", chatbot: messages([*turns, (question, "")]), line: "", likely: ""}
        for _, result in run.follow(generation):
            now = [*turns, (question, result.text)]
            updates = {chatbot: messages(now), line: words.quiet(result)}
            if result.finish_reason != "running":
                updates |= {outputs_turns: now, likely: words.alternatives(result), row.notice: words.outside([result])}
            yield updates

    outputs_turns = turns
    inputs = [turns, *pictures.slots, *panel.inputs]
    outputs = [*row.outputs, turns, chatbot, box, line, likely]
    count = len(pictures.slots)

    def send(run: Run, question: str, turns: list[Turn], *rest: Any) -> Iterator[Updates]:
        yield from ask(run, turns, question, rest[:count], rest[count:], again=False)

    page.on(
        [row.run.click, box.submit],
        handler(page, row, send),
        [box, *inputs],
        outputs,
    )

    def retry(run: Run, index: int, turns: list[Turn], *rest: Any) -> Iterator[Updates]:
        earlier = turns[: index // 2]
        yield from ask(run, earlier, turns[len(earlier)][0], rest[:count], rest[count:], again=True)

    def edit(run: Run, event: tuple[int, str], turns: list[Turn], *rest: Any) -> Iterator[Updates]:
        index, question = event
        yield from ask(run, turns[: index // 2], question, rest[:count], rest[count:], again=False)

    retrying, editing = handler(page, row, retry), handler(page, row, edit)

    def on_retry(event: gr.RetryData, request: gr.Request, *values: Any) -> Iterator[Updates]:
        yield from retrying(request, _first(event.index), *values)

    def on_edit(event: gr.EditData, request: gr.Request, *values: Any) -> Iterator[Updates]:
        yield from editing(request, (_first(event.index), str(event.value).replace(INVISIBLE, "")), *values)

    page.on([chatbot.retry], on_retry, inputs, outputs)
    page.on([chatbot.edit], on_edit, inputs, outputs)

    def undo(turns: list[Turn]) -> list[Any]:
        earlier, last = turns[:-1], turns[-1:]
        return [earlier, messages(earlier), last[0][0] if last else "", "", ""]

    chatbot.undo(undo, turns, [turns, chatbot, box, line, likely], **QUICK)

    def forget(request: gr.Request) -> list[Any]:
        page.sessions.stop(request.session_hash or "", "chat")
        return [[], [], "", "", ""]

    fresh = [turns, chatbot, line, likely, row.notice]
    gr.on([clear.click, chatbot.clear], forget, None, fresh, **QUICK)
    # A conversation is about its pictures: other pictures, another conversation.
    gr.on([slot.change for slot in pictures.slots], forget, None, fresh, **QUICK)

    def suggest(questions: list[str]) -> list[Any]:
        shown = [gr.update(value=question, visible=True) for question in questions[:SUGGESTIONS]]
        hidden = [gr.update(visible=False)] * (SUGGESTIONS - len(shown))
        return [gr.update(visible=bool(shown)), *shown, *hidden]

    pictures.questions.change(suggest, pictures.questions, [chips, *suggested], **QUICK)
    for button in suggested:
        button.click(lambda question: question, button, box, queue=False, **QUICK)


def _first(index: int | tuple[int, int] | list[int]) -> int:
    return index[0] if isinstance(index, list | tuple) else index
