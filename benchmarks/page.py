"""The page in a process of its own, and users who ask it things through `gradio_client`: for the benchmarks of it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradio_client import Client, handle_file

from benchmarks.measure import memory
from vlm_demo.scenes import make_pair, make_scene

ROOT = Path(__file__).parents[1]
START_LIMIT = 300  # seconds; a page that is not up by then will not come
SIDE = 512  # pixels of an image, as the page draws it
QUESTIONS = ("How many objects are there?", "Where is this?", "What colour is the biggest object?", "Is there a dog?")
REFUSALS = ("too many", "are waiting already", "busy", "queue is full")


@dataclass(frozen=True)
class Job:
    """One press of Run: the task, the files of its images, and the words."""

    task: str
    files: tuple[Path, ...]
    text: str


class Refused(Exception):
    """The request was turned away because too many were waiting."""


Call = Callable[[Job], int]  # does a job, gives the number of written tokens


class App:
    """The page in a process of its own, on the bundled models or on some to choose from."""

    def __init__(
        self,
        log: Path,
        *models: str,
        program: Sequence[str] = ("app.py",),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`program`: what Python runs, which takes the flags of app.py; `environment`: variables beside ours."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        begin = time.perf_counter()
        with log.open("wb") as output:
            command = [sys.executable, *program, "--port", str(port), *(("--model", *models) if models else ())]
            variables = os.environ | (environment or {})
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=variables)
        while True:
            try:
                urllib.request.urlopen(self.url, timeout=5).close()
                break
            except OSError as error:
                if self.process.poll() is not None or time.perf_counter() - begin > START_LIMIT:
                    self.close()
                    raise SystemExit(f"The page did not start:\n{log.read_text(errors='replace')}") from error
                time.sleep(0.05)
        self.start_seconds = time.perf_counter() - begin

    def client(self) -> Client:
        """A new session with the page open: opening it costs the server time before anyone presses Run."""
        # Without certificates, which plain HTTP has no use for: reading them anew for each request takes a client
        # longer than the request.
        client = Client(self.url, verbose=False, download_files=False, analytics_enabled=False, ssl_verify=False)
        client.predict(text="", n_images=1, api_name="/route")
        return client

    def memory(self, field: str = "VmRSS") -> int:
        return memory(self.process.pid, field)

    def close(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        self.process.kill()
        self.process.wait()


def over_http(client: Client) -> Call:
    """Jobs through the page's named endpoints."""

    def call(job: Job) -> int:
        files = [handle_file(str(file)) for file in job.files]
        try:
            if job.task == "caption":
                result = client.predict(image=files[0], style=job.text, api_name="/caption")
            elif job.task == "detect":
                result = client.predict(image=files[0], api_name="/detect")
            else:
                name = "/answer" if job.task == "vqa" else "/compare"
                result = client.predict(images=files, question=job.text, api_name=name)
        except Exception as error:
            if any(words in str(error).lower() for words in REFUSALS):
                raise Refused from error
            raise
        return result["tokens"]

    return call


def make_jobs(folder: Path, users: int, each: int, shared: bool, seed: int) -> list[list[Job]]:
    """Mixed jobs for some users; their images are the same four for all, or new ones for every job."""

    def save(name: str, scene: Any) -> Path:
        path = folder / f"{name}.png"
        if not path.exists():
            scene.image(SIDE).save(path, compress_level=1)
        return path

    def job(user: int, turn: int) -> Job:
        kind = (user + turn) % 4
        number = seed + (kind if shared else 1000 * (user + 1) + turn)
        if kind == 3:
            pair = make_pair(number).scenes
            return Job("compare", tuple(save(f"pair-{number}-{side}", one) for side, one in enumerate(pair)), "change")
        file = (save(f"scene-{number}", make_scene(number)),)
        if kind == 0:
            return Job("caption", file, "brief")
        return Job("detect", file, "") if kind == 1 else Job("vqa", file, QUESTIONS[user // 4 % len(QUESTIONS)])

    return [[job(user, turn) for turn in range(each)] for user in range(users)]


class Listener:
    """What happens on the page when a part of it is used, as a browser knows it: it has no named endpoint."""

    def __init__(self, config: dict[str, Any], elem_id: str, event: str) -> None:
        self._parts = {one["id"]: one["props"] for one in config["components"]}
        part = next(number for number, props in self._parts.items() if props.get("elem_id") == elem_id)
        used = (one for one in config["dependencies"] if [part, event] in map(list, one["targets"]))
        self._listener = next(used)
        self.number: int = self._listener["id"]

    def data(self, image: dict[str, Any]) -> list[Any]:
        """What a browser sends that has changed nothing but the first image."""
        shown = [self._parts[number] for number in self._listener["inputs"]]
        return [image if one.get("elem_id") == "image-1" else one.get("value") for one in shown]


def uploaded(path: str) -> dict[str, Any]:
    """An uploaded file, as a listener takes it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


@contextlib.contextmanager
def page_at(url: str | None) -> Iterator[str]:
    """The address of a page that runs already, or of one that is started and gone afterwards."""
    if url:
        yield url
    else:
        with running_app() as (app, _):
            yield app.url


@contextlib.contextmanager
def running_app(*models: str, **options: Any) -> Iterator[tuple[App, Path]]:
    """The page, and a folder for images; both are gone afterwards. `options` are those of App."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with tempfile.TemporaryDirectory() as name:
        app = App(Path(name) / "app.log", *models, **options)
        try:
            yield app, Path(name)
        finally:
            app.close()
