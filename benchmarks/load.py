"""A class presses Run at once: python -m benchmarks.load [--quick] [--json FILE] [--users 1 8 32 100]

Starts the page as people do, `python app.py`, and sends it requests through `gradio_client`: every user has a session
of its own and asks for a caption, boxes, an answer and a comparison in turn, on images that all share or that nobody
else has. Before each crowd the same kind of work is done by one request at a time through the model's own `generate()`,
and after it by the engine without the page, in this process. tokens/s counts written tokens; fairness is Jain's index
of the requests a second that each user got. Before all that each bundled model tells how soon a page that has it alone
answers, and how soon a caption comes that is asked for at once, and one that is asked for five seconds later.

The users' own work, which in a class is done by their own computers, is done here by the same cores. So what the page
and HTTP cost is reported twice: as the share of the time on the clock, the users included, and as the share of the
processor's seconds in the page's process alone.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import cpu_seconds, fairness, quantile, report
from benchmarks.page import SIDE, App, Call, Job, Refused, make_jobs, over_http, running_app
from vlm_demo import images
from vlm_demo.engine import ICONS, PHOTOGRAPHS, Engine
from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor
from vlm_demo.results import Message, QueueFull, Request
from vlm_demo.runners.grammar import Constraint
from vlm_demo.runners.minivlm import MiniVLMRunner
from vlm_demo.scenes import make_scene
from vlm_demo.tasks import TASKS

LOOK = 5  # seconds in which a person looks at a page that has just come up, and chooses an image


@dataclass
class Outcome:
    """What the users of one crowd saw."""

    seconds: list[list[float]] = field(default_factory=list)  # of each user's answered requests
    tokens: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0  # seconds of the process that did the work

    def row(self) -> dict[str, Any]:
        every = [one for user in self.seconds for one in user]
        rates = [len(user) / sum(user) if user else 0.0 for user in self.seconds]
        return {
            "answered": len(every),
            "refused": self.refused,
            "failed": len(self.failed),
            "p50 s": quantile(every, 0.5),
            "p95 s": quantile(every, 0.95),
            "p99 s": quantile(every, 0.99),
            "requests/s": len(every) / self.wall,
            "tokens/s": self.tokens / self.wall,
            "fairness": fairness(rates),
            "CPU s": self.cpu,
        }


def straight(engine: Engine, session: object) -> Call:
    """Jobs on the engine, without a page."""

    def call(job: Job) -> int:
        words = TASKS[job.task].prompts.get(job.text, job.text)
        request = Request(job.task, (Message("user", (*job.files, words)),))
        try:
            result = engine.stream(request, session).result()
        except QueueFull as error:
            raise Refused from error
        return result.new_tokens

    return call


def one_at_a_time(checkpoint: Path) -> Call:
    """Jobs through the model's own `generate()`, its boxes bound to their form as the engine's are."""
    model = MiniVLMForConditionalGeneration.from_pretrained(checkpoint).eval()
    processor = MiniVLMProcessor.from_pretrained(checkpoint)
    runner = MiniVLMRunner(checkpoint)  # for the form alone
    end_ids = {processor.tokenizer.eos_token_id}

    def call(job: Job) -> int:
        text = TASKS["compare"].prompts.get(job.text, job.text) if job.task == "compare" else job.text
        words = TASKS["caption"].prompts[text] if job.task == "caption" else text
        opened = [images.decode(file) for file in job.files]
        ids = torch.tensor([processor.encode_chat([{"role": "user", "task": job.task, "text": words}], len(opened))])
        pixels = processor.image_processor(opened, return_tensors="pt")["pixel_values"]
        limit = TASKS[job.task].max_new_tokens
        bound = {}
        if job.task == "detect":
            bound["prefix_allowed_tokens_fn"] = allowed_tokens(runner.constraint("boxes"), ids.shape[1], end_ids)
        written = model.generate(ids, pixel_values=pixels, do_sample=False, max_new_tokens=limit, **bound)
        return written.shape[1] - ids.shape[1]

    return call


def allowed_tokens(constraint: Constraint, start: int, end_ids: set[int]) -> Callable[[int, torch.Tensor], list[int]]:
    """What `generate()` asks before each token of one answer, whose prompt has `start` tokens."""

    def allowed(_: int, ids: torch.Tensor) -> list[int]:
        if len(ids) > start:
            constraint.advance(ids[-1].item())
        return constraint.allowed(end_ids)

    return allowed


def crowd(calls: list[Call], jobs: list[list[Job]], pid: int | None = None) -> Outcome:
    """Every user does its jobs one after the other, all users begin at once; `pid`: the process that serves them, if it
    is not this one."""
    outcome = Outcome(seconds=[[] for _ in calls])
    lock, start = threading.Lock(), threading.Barrier(len(calls) + 1)

    def user(number: int) -> None:
        start.wait()
        for job in jobs[number]:
            begin = time.perf_counter()
            try:
                tokens = calls[number](job)
            except Refused:
                with lock:
                    outcome.refused += 1
            except Exception as error:  # whatever a user may get to see counts
                with lock:
                    outcome.failed.append(str(error))
            else:
                with lock:
                    outcome.seconds[number].append(time.perf_counter() - begin)
                    outcome.tokens += tokens

    threads = [threading.Thread(target=user, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    start.wait()
    begin, before = time.perf_counter(), cpu_seconds(pid)
    for thread in threads:
        thread.join()
    outcome.wall, outcome.cpu = time.perf_counter() - begin, cpu_seconds(pid) - before
    return outcome


def first_captions(app: App, folder: Path, model: Path, look: float) -> dict[str, Any]:
    """How long after its start the page answers that has `model`, and how the first caption, `look` seconds later,
    compares with the tenth."""
    call = over_http(app.client())
    time.sleep(look)
    seconds = []
    for number in range(10):
        path = folder / f"first-{number}.png"
        make_scene(number).image(SIDE).save(path)
        begin = time.perf_counter()
        call(Job("caption", (path,), "brief"))
        seconds.append(time.perf_counter() - begin)
    return {
        "model": model.name,
        "Run is pressed after, s": look,
        "page answers, s": app.start_seconds,
        "first caption, s": seconds[0],
        "tenth caption, s": seconds[-1],
        "resident MB": app.memory() / 1e6,
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer users and requests")
    parser.add_argument("--users", type=int, nargs="+", help="sizes of the crowds (default: 1 8 32 100; quick: 1 32)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    sizes = args.users or ([1, 32] if args.quick else [1, 8, 32, 100])
    each, alone = (2, 6) if args.quick else (4, 24)
    rows: list[dict[str, Any]] = []
    costs: list[dict[str, Any]] = []
    start: list[dict[str, Any]] = []
    for model, look in product((PHOTOGRAPHS, ICONS), (0, LOOK)):
        with running_app(str(model)) as (app, folder):
            start.append(first_captions(app, folder, model, look))
    with running_app(str(ICONS)) as (app, folder):
        over_http(app.client())(make_jobs(folder, 1, 1, True, 9_000)[0][0])  # loads the model
        engine = Engine(ICONS)
        engine.load()
        reference = one_at_a_time(ICONS)
        seed = 10_000
        for users in sizes:
            for shared in (True, False):
                seed += 1_000_000  # nobody has seen these images before
                kind = "shared" if shared else "distinct"
                jobs = make_jobs(folder, users, each, shared, seed)
                base = crowd([reference], [make_jobs(folder, 1, alone, False, seed + 500_000)[0]])
                clients = [app.client() for _ in range(users)]
                own = cpu_seconds()
                paged = crowd([over_http(client) for client in clients], jobs, app.process.pid)
                own = cpu_seconds() - own
                for client in clients:
                    client.close()
                bare = crowd([straight(engine, number) for number in range(users)], jobs)
                costs.append(
                    {
                        "users": users,
                        "images": kind,
                        "page and HTTP, of the time": 1 - bare.wall / paged.wall,
                        "of the page's CPU seconds": 1 - bare.cpu / paged.cpu,
                        "CPU s of the users": own,
                        "peak MB of the page": app.memory("VmHWM") / 1e6,
                    }
                )
                speed = base.tokens / base.wall
                rows.append({"users": users, "images": kind, "way": "generate(), one at a time", **base.row()})
                rows.append({"users": users, "images": kind, "way": "page", **paged.row()})
                rows.append({"users": users, "images": kind, "way": "engine alone", **bare.row()})
                for row in rows[-3:]:
                    row["vs generate()"] = row["tokens/s"] / speed
                for message in sorted(set(paged.failed)):
                    print(f"failed: {message}", file=sys.stderr)
        engine.close()
    report({"start": start, "load": rows, "cost of the page": costs}, args.json)


if __name__ == "__main__":
    main()
