"""How many visitors one page carries when the model is elsewhere: python -m benchmarks.visitors [--json FILE]

A stand-in engine runs in a process of its own, where another machine would be, and the page in another, as people start
it. The stand-in writes at the rates of the bundled icon model, which `benchmarks.decode` has measured; --pace takes
those of another engine. Visitors come in growing numbers: each sends an image, asks for its caption, reads it for some
seconds (20 on the average, never two in step), asks again. `delay` is what the page adds to one answer in twenty: from
the press to the whole answer, less what the engine needed. The page is at its limit where it computes all the time that
Python allows it, which is one core, or where that delay passes a second.

Page, stand-in and visitors share this machine's cores. So the processor time of the page's own process is reported too,
which depends little on what else runs.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx

from benchmarks.measure import cpu_seconds, quantile, report
from benchmarks.page import running_app, uploaded
from benchmarks.standin import Pace
from vlm_demo.samples import samples

FAMILY = "smolvlm"  # how the stand-in is asked; it does not look
TIMEOUT = 120.0  # seconds; who has no answer by then has failed
START_LIMIT = 60.0  # seconds until the stand-in must be there
# Of the bundled icon model on two cores: a new image is read in 21 ms, then come 760 tokens a second for one answer and
# 3,007 for 32 together (python -m benchmarks.decode).
PACE = Pace(first=0.021, rates=((1, 760.0), (32, 3007.0)))


@dataclass
class Outcome:
    """What the visitors of one crowd saw, in seconds."""

    first: list[float] = field(default_factory=list)  # until the first word
    whole: list[float] = field(default_factory=list)  # until the answer was there
    updates: int = 0
    failed: list[str] = field(default_factory=list)


@contextmanager
def standin(pace: Pace, tokens: int) -> Iterator[str]:
    """The stand-in engine in a process of its own; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.standin", "--port", str(port), "--tokens", str(tokens)]
    process = subprocess.Popen([*command, "--pace", pace.to_json()])
    url = f"http://127.0.0.1:{port}"
    try:
        begin = time.perf_counter()
        while True:
            try:
                httpx.get(f"{url}/timings").raise_for_status()
                break
            except httpx.TransportError as error:
                if process.poll() is not None or time.perf_counter() - begin > START_LIMIT:
                    raise SystemExit("The stand-in engine did not start.") from error
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


Data = Callable[[dict[str, Any]], list[Any]]  # what a listener is sent about an image


def endpoint_data(image: dict[str, Any]) -> list[Any]:
    """What the caption endpoint takes: no sampling, and the page's own model."""
    return [image, "brief", 0, 1, 0, -1, [], ""]


def caption_endpoint(config: dict[str, Any]) -> int:
    """The number of the page's caption endpoint."""
    return next(one["id"] for one in config["dependencies"] if one["api_name"] == "caption")


def photographs() -> list[bytes]:
    """The photographs that come with the page, as a browser sends them."""
    sent = []
    for sample in samples():
        file = io.BytesIO()
        sample.open().save(file, "JPEG", quality=85)
        sent.append(file.getvalue())
    return sent


class Visitor:
    """One person with the page open in a browser."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, listener: int, rng: random.Random, data: Data = endpoint_data
    ) -> None:
        """`listener`: the number of what is asked on the page, which takes `data`; by default the caption endpoint."""
        self.client, self.url, self.listener, self.rng, self.data = client, f"{url}gradio_api/", listener, rng, data
        self.session = uuid.uuid4().hex[:12]
        self.image: dict[str, Any] = {}

    async def upload(self, image: bytes) -> None:
        response = await self.client.post(f"{self.url}upload", files={"files": ("image.jpg", image, "image/jpeg")})
        response.raise_for_status()
        self.image = uploaded(response.json()[0])

    async def stay(self, until: float, reading: float, outcome: Outcome) -> None:
        """Ask, read for `reading` seconds on the average, ask again."""
        await asyncio.sleep(self.rng.uniform(0, reading))
        while time.perf_counter() < until:
            try:
                await asyncio.wait_for(self.ask(outcome), TIMEOUT)
            except Exception as error:  # whatever a visitor may get to see counts
                outcome.failed.append(str(error) or type(error).__name__)
            await asyncio.sleep(self.rng.expovariate(1 / reading) if reading else 0)

    async def ask(self, outcome: Outcome) -> None:
        """Press Run and watch the answer come."""
        began = time.perf_counter()
        ask = {"data": self.data(self.image), "fn_index": self.listener, "session_hash": self.session}
        (await self.client.post(f"{self.url}queue/join", json=ask)).raise_for_status()
        first = None
        async with self.client.stream("GET", f"{self.url}queue/data", params={"session_hash": self.session}) as lines:
            async for line in lines.aiter_lines():
                if not line.startswith("data: "):
                    continue
                message = json.loads(line[6:])
                outcome.updates += message["msg"] == "process_generating"
                if first is None and "word" in line:
                    first = time.perf_counter() - began
                if message["msg"] == "process_completed":
                    if not message["success"]:
                        raise RuntimeError(str(message["output"].get("error")))
                    outcome.whole.append(time.perf_counter() - began)
                    outcome.first.append(outcome.whole[-1] if first is None else first)
                    return
        raise RuntimeError("The page broke off.")


async def crowd(url: str, size: int, seconds: float, reading: float, seed: int) -> Outcome:
    """So many visitors at once, for so long."""
    rng, outcome = random.Random(seed), Outcome()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=size)
    async with httpx.AsyncClient(timeout=TIMEOUT, limits=limits) as client:
        listener = caption_endpoint((await client.get(f"{url}config")).json())
        visitors = [Visitor(client, url, listener, random.Random(rng.random())) for _ in range(size)]
        for visitor, photograph in zip(visitors, cycle(photographs()), strict=False):
            await visitor.upload(photograph)
        until = time.perf_counter() + seconds
        await asyncio.gather(*(visitor.stay(until, reading, outcome) for visitor in visitors))
    return outcome


def row(app: Any, engine: str, size: int, seconds: float, reading: float) -> dict[str, Any]:
    """Measure one crowd; `engine` is the stand-in's address."""
    httpx.get(f"{engine}/timings")
    began, before = time.perf_counter(), cpu_seconds(app.process.pid)
    outcome = asyncio.run(crowd(app.url, size, seconds, reading, size))
    wall, used = time.perf_counter() - began, cpu_seconds(app.process.pid) - before
    own = httpx.get(f"{engine}/timings").json()["seconds"]
    for message in sorted(set(outcome.failed))[:3]:
        print(f"failed: {message}", file=sys.stderr)
    answers = len(outcome.whole)
    return {
        "visitors": size,
        "answers/s": answers / wall,
        "failed": len(outcome.failed),
        "first word p50, p95 s": f"{quantile(outcome.first, 0.5):.2f}, {quantile(outcome.first, 0.95):.2f}",
        "whole p50, p95 s": f"{quantile(outcome.whole, 0.5):.2f}, {quantile(outcome.whole, 0.95):.2f}",
        "engine p50, p95 s": f"{quantile(own, 0.5):.2f}, {quantile(own, 0.95):.2f}",
        "delay p95 s": quantile(outcome.whole, 0.95) - quantile(own, 0.95),
        "updates an answer": outcome.updates / max(1, answers),
        "page's CPU ms an answer": 1000 * used / max(1, answers),
        "page's cores": used / wall,
        "page MB": app.memory() / 1e6,
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, nargs="+", default=[25, 50, 100, 200, 400], help="sizes of the crowds")
    parser.add_argument("--engines", type=int, nargs="+", default=[1, 16], help="how many such engines are elsewhere")
    parser.add_argument("--reading", type=float, default=20.0, help="seconds from an answer to the next press")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each crowd")
    parser.add_argument("--tokens", type=int, default=24, help="of every answer")
    parser.add_argument("--pace", type=Pace.from_json, default=PACE, help="of one engine, as JSON")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    os.environ["VLM_DEMO_API_KEY"] = "none"
    sections: dict[str, list[dict[str, Any]]] = {}
    for engines in args.engines:
        name = f"{engines} engine{'s' if engines > 1 else ''} elsewhere"
        with (
            standin(replace(args.pace, engines=engines), args.tokens) as url,
            running_app(f"{FAMILY}={url}") as (app, _),
        ):
            sections[name] = [row(app, url, size, args.seconds, args.reading) for size in args.visitors]
    report(sections, args.json)


if __name__ == "__main__":
    main()
