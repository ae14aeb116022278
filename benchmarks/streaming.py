"""What gradio's path of an event costs beside a plain streaming route: python -m benchmarks.streaming [--json FILE]

One process serves three ways to the same caption: the page's Caption tab and its /caption endpoint, both over gradio's
queue, and beside them a plain route that takes the bytes of an image and sends the same results as server-sent events.
The model is in another process (`benchmarks.standin`), so that the seconds of the processor are those of serving. What
the engine needs for an answer without any page, image included, is measured in this process and counted out as well.
In every round each way answers the same images, uploaded anew each time. Figures are medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from benchmarks.measure import cpu_seconds, ratio, report
from benchmarks.page import App, Listener, running_app
from benchmarks.visitors import (
    FAMILY,
    PACE,
    TIMEOUT,
    Outcome,
    Visitor,
    caption_endpoint,
    endpoint_data,
    photographs,
    standin,
)
from vlm_demo import images
from vlm_demo.engine import Engine
from vlm_demo.ui import build_app, launch_options
from vlm_demo.ui.endpoints import result_json
from vlm_demo.ui.runs import UPDATE_SECONDS

PLAIN, ENDPOINT, TAB, ALONE = "a plain route", "gradio: /caption", "gradio: the Caption tab", "the engine alone"
WAYS = (ALONE, PLAIN, ENDPOINT, TAB)
AT_ONCE = 8  # visitors


def plain_route(engine: Engine) -> Route:
    """POST the bytes of an image, get its caption as server-sent events: the sketch that is measured here."""

    async def caption(request: Request) -> StreamingResponse:
        image = await run_in_threadpool(images.load, await request.body())
        generation = await run_in_threadpool(engine.caption_stream, image, session=request.query_params["session"])

        async def events() -> AsyncIterator[str]:
            async for result in generation.updates(UPDATE_SECONDS):
                yield f"data: {json.dumps(result_json(result))}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return Route("/plain/caption", caption, methods=["POST"])


def serve(port: int, model: str) -> None:
    """The page, and the plain route on the same server."""
    engine = Engine(model)
    demo = build_app(engine)
    options = launch_options()
    options["app_kwargs"] |= {"routes": [plain_route(engine)]}
    demo.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, **options)
    threading.Event().wait()


async def ask_plainly(visitor: Visitor, image: bytes, outcome: Outcome) -> None:
    """Send an image to the plain route and watch the answer come."""
    began = time.perf_counter()
    url = f"{visitor.url.removesuffix('gradio_api/')}plain/caption"
    async with visitor.client.stream("POST", url, params={"session": visitor.session}, content=image) as lines:
        lines.raise_for_status()
        async for line in lines.aiter_lines():
            outcome.updates += line.startswith("data: ")
    outcome.whole.append(time.perf_counter() - began)


async def ask_gradio(visitor: Visitor, image: bytes, outcome: Outcome) -> None:
    """Upload an image, then use a listener of the page."""
    await visitor.upload(image)
    await visitor.ask(outcome)


async def crowd(url: str, way: str, answers: int) -> Outcome:
    """Some visitors at once, who ask in one way until there are so many answers."""
    outcome, left = Outcome(), iter(range(answers))
    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        config = (await client.get(f"{url}config")).json()
        run = Listener(config, "caption-run", "click")
        listener, data = (run.number, run.data) if way == TAB else (caption_endpoint(config), endpoint_data)
        ask = ask_plainly if way == PLAIN else ask_gradio
        shown = photographs()

        async def stay() -> None:
            visitor = Visitor(client, url, listener, random.Random(0), data)
            for number in left:
                await ask(visitor, shown[number % len(shown)], outcome)

        await asyncio.gather(*(stay() for _ in range(AT_ONCE)))
    return outcome


def alone(engine: Engine, answers: int) -> float:
    """CPU seconds of this process an answer, without any page; the images are decoded as they come."""
    shown = photographs()
    before = cpu_seconds()
    for number in range(answers):
        for _ in engine.caption_stream(images.load(shown[number % len(shown)])).partials(UPDATE_SECONDS):
            pass
    return (cpu_seconds() - before) / answers


def measure(app: App, engine: Engine, answers: int, rounds: int) -> list[dict[str, Any]]:
    """A row a way; each has run once before, unmeasured."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    updates: dict[str, float] = {}
    for number in range(rounds + 1):
        for way in WAYS:
            before = cpu_seconds(app.process.pid)
            if way == ALONE:
                used = alone(engine, answers)
            else:
                outcome = asyncio.run(crowd(app.url, way, answers))
                used = (cpu_seconds(app.process.pid) - before) / len(outcome.whole)
                updates[way] = outcome.updates / len(outcome.whole)
            if number:
                seconds[way].append(used)
    floor = seconds[ALONE]
    return [
        {
            "way": way,
            "CPU ms an answer": 1000 * statistics.median(values),
            "without the engine's": 1000 * statistics.median(a - b for a, b in zip(values, floor, strict=True)),
            "of the plain route": ratio(values, seconds[PLAIN]),
            "updates an answer": updates.get(way, float("nan")),
        }
        for way, values in seconds.items()
    ]


def main() -> None:
    """Measure and report; with --port, be the server that is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=48, help="of each way in each round")
    parser.add_argument("--rounds", type=int, default=5, help="how often the ways take turns")
    parser.add_argument("--tokens", type=int, default=24, help="of every answer")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ["VLM_DEMO_API_KEY"] = "none"
    if args.port:
        serve(args.port, args.model)
    with standin(PACE, args.tokens) as url:
        address = f"{FAMILY}={url}"
        engine = Engine(address)
        with running_app(address, program=("-m", "benchmarks.streaming")) as (app, _):
            rows = measure(app, engine, args.answers, args.rounds)
        engine.close()
    report({"serving one caption": rows}, args.json)


if __name__ == "__main__":
    main()
