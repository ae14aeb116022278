"""What the named endpoints do: arguments of a call in, results as plain JSON out, while they are written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from vlm_demo.detection import pixels
from vlm_demo.results import EngineError, Result, SamplingParameters
from vlm_demo.router import Route

from . import jobs
from .common import Page
from .image_components import load_images
from .owner import address
from .runs import in_thread

if TYPE_CHECKING:
    from vlm_demo.engine import Generation

JSON = dict[str, Any]


class Endpoints:
    """One method an endpoint, of the same name. An empty `model` is the engine's own."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def caption(
        self,
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
        """Describe an image."""
        [opened] = await in_thread(load_images, [image])
        settings = sampling(temperature, top_p, max_new_tokens, seed, stop)
        start = partial(self.page.engine.caption_stream, opened, style, settings, model=model or None)
        async for _, result in self._stream(request, start):
            yield result_json(result)

    async def detect(
        self,
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
        """Find the objects in an image: `objects` holds label, bbox [x, y, w, h] from 0 to 1, and confidence.

        When it is whole, `size` is [width, height] of the image as it was sent, and each object has `pixels`, the box
        in them.
        """
        [opened] = await in_thread(load_images, [image])
        size = opened.original_size
        settings = sampling(temperature, top_p, max_new_tokens, seed, stop)
        start = partial(self.page.engine.detect_stream, opened, settings, model=model or None, what=what)
        async for _, result in self._stream(request, start):
            sent = result_json(result)
            if result.parsed is not None:
                objects = [item | {"pixels": pixels(item, size)} for item in result.parsed.objects]
                sent |= {"size": list(size), "objects": objects}
            yield sent

    async def answer(
        self,
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
        """Answer a question about one or several images."""
        opened = await in_thread(load_images, images or [])
        turns = turns_of(history)
        settings = sampling(temperature, top_p, max_new_tokens, seed, stop)
        start = partial(self.page.engine.answer_stream, opened, question, turns, settings, model=model or None)
        async for _, result in self._stream(request, start):
            yield result_json(result)

    async def compare(
        self,
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
        """Compare two to four images."""
        opened = await in_thread(load_images, images or [])
        settings = sampling(temperature, top_p, max_new_tokens, seed, stop)
        start = partial(self.page.engine.compare_stream, opened, question, settings, model=model or None)
        async for _, result in self._stream(request, start):
            yield result_json(result)

    async def auto(self, request: gr.Request, images: list[str] | None, text: str, model: str) -> AsyncIterator[JSON]:
        """Do what a text asks for: route it, then run each task that it asks for.

        Returns `route` (see /route) and `results`, one for each call of the model; empty when the router is unsure.
        """
        opened = await in_thread(load_images, images or [])
        route = await in_thread(self.page.router.route, text, len(opened))
        planned = [] if route.unsure else jobs.plan(self.page.engine, route.parts, opened, model or None)
        starts = [partial(job.start, SamplingParameters(), model=model or None) for job in planned]
        results: list[JSON] = []
        yield {"route": route_json(route), "results": results}
        async for number, result in self._stream(request, *starts):
            results = [*results[:number], {"image": planned[number].image} | result_json(result)]
            yield {"route": route_json(route), "results": results}

    async def route(self, text: str, n_images: float) -> AsyncIterator[JSON]:
        """Say which tasks a text asks for, without running them.

        Returns the chosen `tasks`, the probability of each task, and `unsure` with a `note` that says why.
        """
        yield route_json(await in_thread(self.page.router.route, text, int(n_images)))

    async def _stream(
        self, request: gr.Request, *starts: Callable[..., Generation]
    ) -> AsyncIterator[tuple[int, Result]]:
        """Answers on their way, one after the other; a client that cancels or goes away ends them.

        Each call is a run of its own, so that a program may make several at once; they take the turns of one session.
        """
        run = self.page.sessions.call(request.session_hash or "", address(request))
        try:
            for number, start in enumerate(starts):
                async for _, result in run.follow(partial(start, session=run.session)):
                    yield number, result
        finally:
            self.page.sessions.finish(run)


def sampling(
    temperature: float, top_p: float, max_new_tokens: float, seed: float, stop: list[str] | None
) -> SamplingParameters:
    """The sampling parameters of a call; raises EngineError where they make no sense."""
    if not isinstance(stop or [], list):
        raise EngineError('`stop` must be a list of texts, such as ["."].')
    return SamplingParameters(
        float(temperature),
        float(top_p),
        int(max_new_tokens) if max_new_tokens else None,
        int(seed) if seed is not None and seed >= 0 else None,
        tuple(stop or ()),
    )


def turns_of(history: Any) -> list[tuple[str, str]]:
    """The earlier turns of a chat; raises EngineError where they are none."""
    fine = isinstance(history, list) and all(
        isinstance(turn, list | tuple) and len(turn) == 2 and all(isinstance(text, str) for text in turn)
        for turn in history
    )
    if not fine:
        raise EngineError("The history must be a list of [question, answer] pairs.")
    return [(question, answer) for question, answer in history]


def result_json(result: Result) -> JSON:
    """A Result as JSON: text, how sure, times in seconds, tokens, and objects when there are boxes.

    `confidence` is what the model gave its words, `chance` how often such answers were right where that was measured.
    """
    timings = result.timings
    sent: JSON = {
        "task": result.task,
        "prompt": result.prompt,
        "text": result.text,
        "confidence": result.confidence,
        "chance": result.chance,
        "finish": result.finish_reason,
        "reduced": result.reduced,
        "outside": result.outside,
        "unfamiliar": result.unfamiliar,
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
        sent |= {"objects": result.parsed.objects, "report": str(result.parsed.report), "failed": result.parsed.failed}
    return sent


def route_json(route: Route) -> JSON:
    """A Route as JSON."""
    return {
        "tasks": route.tasks,
        "probabilities": route.probabilities,
        "unsure": route.unsure,
        "note": route.note,
    }
