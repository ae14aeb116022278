"""Ten minutes of what a class does to a page: python -m benchmarks.soak [--quick] [--minutes 10] [--json FILE]

Users send mixed requests to `python app.py` through `gradio_client`, and misbehave: they cancel at a random moment,
vanish without a word, send files that are no images and questions that are empty or endless, press "Free memory", so
that the model goes and comes while others wait for it, and switch between the bundled model and an untrained one. At
the end every request must have been answered, refused or cancelled, nothing may hang, the page must still answer, and
its memory and threads must be level: the last third of the run is compared with the middle one.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from gradio_client import Client, handle_file

from benchmarks import measure
from benchmarks.measure import report
from benchmarks.page import App, Job, Listener, Refused, make_jobs, over_http, running_app, uploaded
from train.data.icons import IconScenes
from train.finetune.backbones import from_scratch
from vlm_demo.engine import ICONS

USERS = 12
PATIENCE = 60.0  # seconds after which a request counts as hanging
SAMPLES = 60  # of memory and threads in a run
GROWTH = 1.1  # what the last third may take of the middle one


@dataclass
class Record:
    """What happened to the requests, and what the page took meanwhile."""

    ends: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def growth(self, values: list[int]) -> float:
        """Median of the last third over that of the middle third."""
        third = len(values) // 3
        if not third:
            return float("nan")
        return statistics.median(values[-third:]) / statistics.median(values[-2 * third : -third])


class User:
    """One session that behaves well most of the time."""

    def __init__(self, connect: Callable[[], Client], jobs: list[Job], junk: Path, record: Record, seed: int) -> None:
        self.connect, self.jobs, self.junk, self.record = connect, jobs, junk, record
        self.chance = random.Random(seed)
        self.client = connect()
        self.page = f"page{self.chance.getrandbits(48):x}"  # the session of this user's browser

    def act(self) -> None:
        """One request of some kind; its end is counted, and what should not have happened is noted."""
        well, badly = [self.ask, self.cancel, self.vanish], [self.send_junk, self.ask_nothing, self.ask_endlessly]
        kinds = [*well, self.free, self.switch, self.press, *badly]
        kind = self.chance.choices(kinds, weights=[22, 6, 4, 0.5, 0.5, 2, 2, 2, 2])[0]
        begin = time.perf_counter()
        try:
            self.record.ends[kind()] += 1
        except Refused:
            self.record.ends["refused"] += 1
        except Exception as error:  # a page that fails in any way is what this looks for
            self.record.ends["failed"] += 1
            self.record.surprises.append(f"{kind.__name__}: {type(error).__name__}: {error}")
        if time.perf_counter() - begin > PATIENCE:
            self.record.ends["hung"] += 1

    def ask(self) -> str:
        over_http(self.client)(self.chance.choice(self.jobs))
        return "answered"

    def cancel(self) -> str:
        job = self._submit()
        time.sleep(self.chance.uniform(0, 0.5))
        job.cancel()
        return "cancelled"

    def vanish(self) -> str:
        self._submit()
        time.sleep(self.chance.uniform(0, 0.5))
        self.client.close()
        self.client = self.connect()
        return "vanished"

    def free(self) -> str:
        self._use("free-memory", "click")
        return "freed"

    def switch(self) -> str:
        """Choose any of the models, perhaps the one that is there already."""
        parts = (one["props"] for one in self.client.config["components"])
        choices = next(one["choices"] for one in parts if one.get("elem_id") == "model")
        self._use("model", "input", lambda _: [self.chance.choice(choices)[1], None])  # the other one is kept there
        return "switched"

    def press(self) -> str:
        """Press Run on the Caption tab of the page: the model that was chosen there answers."""
        file = self.chance.choice(self.jobs).files[0]
        sent = httpx.post(
            f"{self.client.src}gradio_api/upload", files={"files": (file.name, file.read_bytes())}, timeout=PATIENCE
        )
        self._use("caption-run", "click", lambda listener: listener.data(uploaded(sent.json()[0])))
        return "answered"

    def _use(self, elem_id: str, event: str, data: Callable[[Listener], list[Any]] = lambda _: []) -> None:
        """Use a part of the page as a browser does."""
        queue, session = f"{self.client.src}gradio_api/queue", self.page
        listener = Listener(self.client.config, elem_id, event)
        used = {"fn_index": listener.number, "data": data(listener), "session_hash": session}
        httpx.post(f"{queue}/join", json=used, timeout=PATIENCE).raise_for_status()
        with httpx.stream("GET", f"{queue}/data", params={"session_hash": session}, timeout=PATIENCE) as events:
            done = next(line for line in events.iter_lines() if '"process_completed"' in line)
        if '"success":true' not in done:
            raise RuntimeError(done)

    def send_junk(self) -> str:
        return self._turned_away(image=handle_file(str(self.junk)), style="brief", api_name="/caption")

    def ask_nothing(self) -> str:
        return self._turned_away(images=[self._image()], question="  ", api_name="/answer")

    def ask_endlessly(self) -> str:
        return self._turned_away(images=[self._image()], question="why " * 20_000, api_name="/answer")

    def _image(self) -> dict[str, Any]:
        return handle_file(str(self.chance.choice(self.jobs).files[0]))

    def _submit(self) -> Any:
        return self.client.submit(images=[self._image()], question="Where is this?", api_name="/answer")

    def _turned_away(self, **request: Any) -> str:
        try:
            self.client.predict(**request)
        except Exception as error:
            if not str(error).strip() or "went wrong" in str(error):
                raise  # a person is owed words that help
            return "turned away"
        raise AssertionError("a bad request was answered")


def soak(app: App, folder: Path, seconds: float) -> Record:
    """Let the users at the page for so long."""
    record = Record()
    junk = folder / "junk.png"
    junk.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(random.Random(0).randbytes(2000)))
    jobs = [job for user in make_jobs(folder, 8, 4, False, 7_000_000) for job in user]
    end = time.monotonic() + seconds

    def live(number: int) -> None:
        user = User(app.client, jobs, junk, record, number)
        while time.monotonic() < end:
            user.act()
        user.client.close()

    threads = [threading.Thread(target=live, args=(number,), daemon=True) for number in range(USERS)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        time.sleep(seconds / SAMPLES)
        record.memory.append(app.memory())
        record.threads.append(measure.threads(app.process.pid))
    for thread in threads:
        thread.join(max(0.0, end + PATIENCE - time.monotonic()))
    record.ends["hung"] += sum(thread.is_alive() for thread in threads)
    over_http(app.client())(jobs[0])  # raises when the page does not answer any more
    return record


def make_untrained(folder: Path) -> None:
    """A tiny model of random weights with a tokenizer of its own."""
    for part in from_scratch("tiny", [IconScenes(100)]):
        part.save_pretrained(folder)


def verdict(record: Record) -> dict[str, Any]:
    """One line: what happened, and whether all is well."""
    heavier, wider = record.growth(record.memory), record.growth(record.threads)
    fine = not record.ends["failed"] and not record.ends["hung"] and not heavier > GROWTH and not wider > GROWTH
    names = ("answered", "cancelled", "vanished", "freed", "switched", "turned away", "refused", "failed", "hung")
    return {
        **{name: record.ends[name] for name in names},
        "memory MB": max(record.memory, default=0) / 1e6,
        "memory, last / middle": heavier,
        "threads, last / middle": wider,
        "well": "yes" if fine else "no",
    }


def main() -> None:
    """Measure and report; the exit status tells whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="half a minute")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as untrained:
        make_untrained(Path(untrained))
        with running_app(str(ICONS), untrained) as (app, folder):
            record = soak(app, folder, 30.0 if args.quick else 60 * args.minutes)
    row = verdict(record)
    report({"soak": [row]}, args.json)
    for surprise in sorted(set(record.surprises)):
        print(surprise)
    raise SystemExit(row["well"] != "yes")


if __name__ == "__main__":
    main()
