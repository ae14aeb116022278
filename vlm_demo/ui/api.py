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
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import gradio as gr

from vlm_demo.detection import pixels
from vlm_demo.images import ImageError
from vlm_demo.results import EngineError, Result, SamplingParameters, Visitor
from vlm_demo.router import Route

from . import jobs
from .common import MODEL_CALL, Page
from .owner import address
from .pictures import Picture, PictureFiles, load_pictures
from .runs import in_thread

if TYPE_CHECKING:
    from vlm_demo.engine import Generation

log = logging.getLogger(__name__)

JSON = dict[str, Any]
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


def result_json(result: Result) -> JSON:
    """A Result as JSON: text, how sure, times in seconds, tokens, and objects when there are boxes."""
    timings = result.timings
    found: JSON = {
        "task": result.task,
        "prompt": result.prompt,
        "text": result.text,
        "confidence": result.confidence,
        "finish": result.finish_reason,
        "reduced": result.reduced,
        "outside": result.outside,
        "model": result.model,
        "tokens": result.new_tokens,
        "prompt_tokens": result.prompt_tokens,
        "seconds": {
            "queue": timings.queue,
            "encode": timings.encode,
            "prefill": timings.prefill,
            "decode": timings.decode,
        },
        "seed": result.seed,
    }
    if result.parsed is not None:
        found |= {"objects": result.parsed.objects, "report": str(result.parsed.report), "failed": result.parsed.failed}
    return found


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


def _settings(
    temperature: float, top_p: float, max_new_tokens: float, seed: float, stop: list[str] | None
) -> SamplingParameters:
    if not isinstance(stop or [], list):
        raise EngineError('`stop` must be a list of texts, such as ["."].')
    return SamplingParameters(
        float(temperature),
        float(top_p),
        int(max_new_tokens) if max_new_tokens else None,
        int(seed) if seed is not None and seed >= 0 else None,
        tuple(stop or ()),
    )


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
    engine = page.engine

    async def stream(
        request: gr.Request, *starts: Callable[[Visitor], Generation]
    ) -> AsyncIterator[tuple[int, Result]]:
        """Answers on their way, one after the other; a client that cancels or goes away ends them.

        Each call is a run of its own, so that a program may make several at once; they take the turns of one session.
        """
        run = page.sessions.call(request.session_hash or "", address(request))
        try:
            for number, start in enumerate(starts):
                async for _, result in run.follow(partial(start, run.session)):
                    yield number, result
        finally:
            page.sessions.finish(run)

    with gr.Row(visible=False):
        image = _described(Picture(type="filepath", label="image"))
        pictures = _described(PictureFiles(file_count="multiple", label="images"))
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

    async def caption(
        request: gr.Request,
        image: str | None,
        style: str,
        temperature: float,
        top_p: float,
        max_new_tokens: float,
        seed: float,
        stop: list[str] | None,
        model: str,
    ) -> AsyncIterator[JSON]:
        """Describe a picture."""
        [opened] = await in_thread(load_pictures, [image])
        settings = _settings(temperature, top_p, max_new_tokens, seed, stop)
        async for _, result in stream(
            request, lambda session: engine.caption_stream(opened, style, settings, session, model or None)
        ):
            yield result_json(result)

    async def detect(
        request: gr.Request,
        image: str | None,
        temperature: float,
        top_p: float,
        max_new_tokens: float,
        seed: float,
        stop: list[str] | None,
        what: str,
        model: str,
    ) -> AsyncIterator[JSON]:
        """Find the objects in a picture: `objects` holds label, bbox [x, y, w, h] from 0 to 1, and confidence.

        When it is whole, `size` is [width, height] of the picture as it was sent, and each object has `pixels`, the box
        in them.
        """
        [opened] = await in_thread(load_pictures, [image])
        size = opened.original_size
        settings = _settings(temperature, top_p, max_new_tokens, seed, stop)
        async for _, result in stream(
            request, lambda session: engine.detect_stream(opened, settings, session, model or None, what)
        ):
            found = result_json(result)
            if result.parsed is not None:
                objects = [item | {"pixels": pixels(item, size)} for item in result.parsed.objects]
                found |= {"size": list(size), "objects": objects}
            yield found

    async def answer(
        request: gr.Request,
        images: list[str] | None,
        question: str,
        history: list[list[str]],
        temperature: float,
        top_p: float,
        max_new_tokens: float,
        seed: float,
        stop: list[str] | None,
        model: str,
    ) -> AsyncIterator[JSON]:
        """Answer a question about one or several pictures."""
        opened = await in_thread(load_pictures, images or [])
        turns = _turns(history)
        settings = _settings(temperature, top_p, max_new_tokens, seed, stop)
        async for _, result in stream(
            request, lambda session: engine.answer_stream(opened, question, turns, settings, session, model or None)
        ):
            yield result_json(result)

    async def compare(
        request: gr.Request,
        images: list[str] | None,
        question: str,
        temperature: float,
        top_p: float,
        max_new_tokens: float,
        seed: float,
        stop: list[str] | None,
        model: str,
    ) -> AsyncIterator[JSON]:
        """Compare two to four pictures."""
        opened = await in_thread(load_pictures, images or [])
        settings = _settings(temperature, top_p, max_new_tokens, seed, stop)
        async for _, result in stream(
            request, lambda session: engine.compare_stream(opened, question, settings, session, model or None)
        ):
            yield result_json(result)

    async def auto(request: gr.Request, images: list[str] | None, text: str, model: str) -> AsyncIterator[JSON]:
        """Do what a text asks for: route it, then run each task that it asks for.

        Returns `route` (see /route) and `results`, one for each call of the model; empty when the router is unsure.
        """
        opened = await in_thread(load_pictures, images or [])
        route = await in_thread(page.router.route, text, len(opened))
        planned = [] if route.unsure else jobs.plan(engine, route.parts, opened)
        starts = [lambda session, job=job: job.start(SamplingParameters(), session, model or None) for job in planned]
        results: list[JSON] = []
        yield {"route": route_json(route), "results": results}
        async for number, result in stream(request, *starts):
            results = [*results[:number], {"picture": planned[number].picture} | result_json(result)]
            yield {"route": route_json(route), "results": results}

    async def route(text: str, n_images: float) -> AsyncIterator[JSON]:
        """Say which tasks a text asks for, without running them.

        Returns the chosen `tasks`, the probability of each task, and `unsure` with a `note` that says why.
        """
        yield route_json(await in_thread(page.router.route, text, int(n_images)))

    for function, inputs in (
        (caption, [image, style, *settings, model]),
        (detect, [image, *settings, what, model]),
        (answer, [pictures, question, history, *settings, model]),
        (compare, [pictures, question, *settings, model]),
        (auto, [pictures, text, model]),
        (route, [text, count]),
    ):
        function.__doc__ = _with_arguments(function.__doc__, inputs)
        gr.Button(visible=False).click(_in_words(function), inputs, output, api_name=function.__name__, **CALL)


def route_json(route: Route) -> JSON:
    """A Route as JSON."""
    return {
        "tasks": route.tasks,
        "probabilities": route.probabilities,
        "unsure": route.unsure,
        "note": route.note,
    }


def _turns(history: Any) -> list[tuple[str, str]]:
    fine = isinstance(history, list) and all(
        isinstance(turn, list | tuple) and len(turn) == 2 and all(isinstance(text, str) for text in turn)
        for turn in history
    )
    if not fine:
        raise EngineError("The history must be a list of [question, answer] pairs.")
    return [(question, answer) for question, answer in history]
