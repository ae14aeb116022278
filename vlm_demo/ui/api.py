"""The named endpoints, for programs: /caption, /detect, /answer, /compare, /auto and /route. Results are plain JSON.

They stream: a job of gradio_client can be iterated for what is written so far, and cancelled; `predict` waits for the
whole answer.

from gradio_client import Client, handle_file
client = Client("http://127.0.0.1:7860")
client.predict(handle_file("cat.png"), style="brief", api_name="/caption")

The same six are the tools of the MCP server that `python app.py --mcp` starts beside the page.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable
from functools import wraps
from typing import Any

import gradio as gr

from vlm_demo.images import ImageError
from vlm_demo.results import EngineError

from .common import MODEL_CALL, Page
from .endpoints import JSON, Endpoints
from .image_components import UploadedImage, UploadedImages

log = logging.getLogger(__name__)

CALL = MODEL_CALL | {"api_visibility": "public"}
ARGUMENTS = {
    "image": "An image, sent with handle_file.",
    "images": "A list of images, each sent with handle_file: one to four, for /compare two to four.",
    "style": "How the caption is written: brief, detailed or alt.",
    "question": 'A question in plain words; for /compare also "change", "boxes" or "story", the usual questions.',
    "text": "What you want, in plain words or with a tag such as [OD].",
    "history": "Earlier [question, answer] pairs of the same conversation, oldest first.",
    "n_images": "How many images come with the text.",
    "temperature": "0 always takes the likeliest token, higher is bolder, at most 10.",
    "top_p": "Share of the likely tokens to draw from, above 0 and at most 1.",
    "max_new_tokens": "The longest answer in tokens; 0 is the task's own limit.",
    "seed": "The same seed gives the same sampled answer; -1 draws one, which the result tells.",
    "stop": 'A list of texts, such as ["."], each of which ends the answer before it.',
    "what": "What is looked for, such as: dogs. Empty for everything.",
    "model": "Which of the page's models answers; empty for the first one. A wrong name is answered with all of them.",
}

LISTS = {  # gradio calls the type of JSON {}, which MCP clients refuse
    "history": {"type": "array", "items": {"type": "string"}},
    "stop": {"type": "string"},
}


def _described(component: gr.components.Component, example: Any = None) -> gr.components.Component:
    """Let the API page and the clients say what the argument is that this component stands for, with an example of it;
    the default is one.
    """
    info = component.api_info() | {"additional_description": ARGUMENTS[component.label]}
    if component.label in LISTS:
        info |= {"type": "array", "items": LISTS[component.label]}
    component.api_info = lambda: info
    example = component.value if example is None else example
    if example is not None:
        component.example_payload = lambda: example
    return component


def _with_arguments(words: str | None, inputs: list[gr.components.Component]) -> str:
    """A docstring with its arguments, of which MCP clients are told."""
    lines = [f"    {one.label}: {ARGUMENTS[one.label]}" for one in inputs]
    return "\n".join([inspect.cleandoc(words or ""), "", "Args:", *lines])


def _in_words(function: Callable[..., AsyncIterator[JSON]]) -> Callable[..., AsyncIterator[JSON]]:
    """Errors reach a client as words that a person can act on, never as a bare failure."""

    @wraps(function)
    async def call(*args: Any) -> AsyncIterator[JSON]:
        try:
            async for result in function(*args):
                yield result
        except (ImageError, EngineError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        except gr.Error:
            raise
        except Exception as error:
            log.exception("an API call failed")
            raise gr.Error("Something went wrong on the server; its log says what.", print_exception=False) from error

    return call


def build(page: Page) -> None:
    """Hidden inputs, so that the API describes itself, and the six endpoints."""
    endpoints = Endpoints(page)
    with gr.Row(visible=False):
        image = _described(UploadedImage(type="filepath", label="image"))
        several = _described(UploadedImages(file_count="multiple", label="images"))
        style = _described(gr.Textbox("brief", label="style"))
        question = _described(gr.Textbox(label="question"), "What is there?")
        text = _described(gr.Textbox(label="text"), "Describe it.")
        history = _described(gr.JSON([], label="history"))
        count = _described(gr.Number(1, label="n_images"))
        what = _described(gr.Textbox("", label="what"))
        model = _described(gr.Textbox("", label="model"))
        settings = [
            _described(gr.Number(0.0, label="temperature")),
            _described(gr.Number(1.0, label="top_p")),
            _described(gr.Number(0, label="max_new_tokens")),
            _described(gr.Number(-1, label="seed")),
            _described(gr.JSON([], label="stop")),
        ]
        output = gr.JSON(label="result")

    for function, inputs in (
        (endpoints.caption, [image, style, *settings, model]),
        (endpoints.detect, [image, *settings, what, model]),
        (endpoints.answer, [several, question, history, *settings, model]),
        (endpoints.compare, [several, question, *settings, model]),
        (endpoints.auto, [several, text, model]),
        (endpoints.route, [text, count]),
    ):
        call = _in_words(function)
        call.__doc__ = _with_arguments(function.__doc__, inputs)
        gr.Button(visible=False).click(call, inputs, output, api_name=function.__name__, **CALL)
