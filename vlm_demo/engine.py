"""The model of this process, behind four calls: caption, detect, answer, compare, each whole or as a stream.

    engine = get_engine()
    print(engine.caption(picture).text)
    for partial in engine.answer_stream(picture, "How many cats?"):
        print(partial.text)

Importing this module loads neither torch nor a model; the first call does, or `Engine.load()`.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

from PIL.Image import Image

from vlm_demo import images as picture_door
from vlm_demo import memory
from vlm_demo.backends import Backend, Prompt, Row
from vlm_demo.backends.choose import open_backend
from vlm_demo.generation import Generation
from vlm_demo.request import Request
from vlm_demo.results import (
    EngineError,
    Novelty,
    Place,
    QueueFull,
    Result,
    Settings,
    Status,
    Timings,
    Token,
    explain,
)
from vlm_demo.scheduler import Scheduler
from vlm_demo.tasks import TASKS, task_prompt

__all__ = [
    "Engine",
    "EngineError",
    "Generation",
    "Novelty",
    "Place",
    "QueueFull",
    "Result",
    "Settings",
    "Status",
    "Timings",
    "Token",
    "get_engine",
]

BUNDLED = Path(__file__).parents[1] / "checkpoints" / "minivlm-icons"
MAX_QUESTION = 20_000  # characters; what a model can read is less, this bounds the work of finding out
MAX_HISTORY = 50  # newest turns of a chat that are looked at, as long as they fit into MAX_QUESTION together

Picture = Any  # whatever vlm_demo.images.load takes
History = Sequence[tuple[str, str]]


class Engine:
    """One model for the whole process, loaded on first use, shared by all threads and sessions.

    `model`: folder or Hub name of a MiniVLM checkpoint, or of an image-text-to-text model of another family; default is
    $VLM_DEMO_MODEL, else the bundled one. `device`: cuda, mps, cpu or auto. `dtype`: float32, bfloat16, float16, int8
    (MiniVLM on a CPU) or auto, which is half precision on a GPU, and on a CPU int8 for Llama-shaped models where
    bfloat16 is multiplied in hardware, else float32. Methods take `session`, any hashable standing for one user:
    sessions take turns, and each runs one request at a time. All methods raise EngineError with words for people, bad
    arguments before anything is queued.

    What was computed for a picture is shared by all sessions. No result says so, but time does: an answer about a
    picture that someone has asked about lately comes sooner. Whoever must hide even that runs an engine of their own.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
        backend: Backend | None = None,
        **limits: int,
    ) -> None:
        """`backend` stands in for the model's own one; `limits` are those of Scheduler (max_waiting and so on)."""
        self.model = backend.name if backend else str(model or os.environ.get("VLM_DEMO_MODEL") or BUNDLED)
        self._device, self._dtype = device, dtype
        self._scheduler = Scheduler(backend or open_backend(self.model, device, dtype), **limits)

    @property
    def backend(self) -> Backend:
        return self._scheduler.backend

    def caption(
        self, image: Picture, style: str = "brief", settings: Settings | None = None, session: Hashable | None = None
    ) -> Result:
        """Describe a picture; `style` is "brief", "detailed" or "alt"."""
        return self.caption_stream(image, style, settings, session).result()

    def detect(self, image: Picture, settings: Settings | None = None, session: Hashable | None = None) -> Result:
        """Find the objects in a picture; see `Result.parsed`."""
        return self.detect_stream(image, settings, session).result()

    def answer(
        self,
        images: Picture | list[Picture],
        question: str,
        history: History = (),
        settings: Settings | None = None,
        session: Hashable | None = None,
    ) -> Result:
        """Answer a question about one or several pictures; `history` holds earlier (question, answer) pairs."""
        return self.answer_stream(images, question, history, settings, session).result()

    def compare(
        self,
        images: list[Picture],
        question: str = "change",
        settings: Settings | None = None,
        session: Hashable | None = None,
    ) -> Result:
        """Compare two to four pictures; `question` is free text or a key of `TASKS["compare"].prompts`."""
        return self.compare_stream(images, question, settings, session).result()

    def caption_stream(
        self, image: Picture, style: str = "brief", settings: Settings | None = None, session: Hashable | None = None
    ) -> Generation:
        """Like `caption`, as a Generation."""
        styles = TASKS["caption"].prompts
        if style not in styles:
            raise EngineError(f"There is no caption style {style!r}; choose one of {', '.join(styles)}.")
        return self._start("caption", [image], styles[style], (), settings, session)

    def detect_stream(
        self, image: Picture, settings: Settings | None = None, session: Hashable | None = None
    ) -> Generation:
        """Like `detect`, as a Generation."""
        return self._start("detect", [image], "", (), settings, session)

    def answer_stream(
        self,
        images: Picture | list[Picture],
        question: str,
        history: History = (),
        settings: Settings | None = None,
        session: Hashable | None = None,
    ) -> Generation:
        """Like `answer`, as a Generation."""
        pictures = list(images) if isinstance(images, list | tuple) else [images]
        return self._start("vqa", pictures, _question(question), history, settings, session)

    def compare_stream(
        self,
        images: list[Picture],
        question: str = "change",
        settings: Settings | None = None,
        session: Hashable | None = None,
    ) -> Generation:
        """Like `compare`, as a Generation."""
        words = TASKS["compare"].prompts.get(question, question)
        return self._start("compare", list(images), _question(words), (), settings, session)

    def novelty(self, image: Picture) -> Novelty:
        """How far a picture lies from the model's training pictures."""
        opened = _open(image)

        def measure() -> Novelty:
            backend = self.backend
            prompt = backend.prepare([_turn("caption", "brief")], [opened], 1)
            backend.load()
            return backend.novelty(prompt)[0]

        return self._call(measure, "The picture could not be measured")

    def load(self) -> None:
        """Load the model now instead of on first use; waits until it is there."""
        self._call(lambda: self.backend.load(), "The model could not be loaded")

    def unload(self) -> None:
        """Free the model's memory once those who are running have finished; the next use loads it again."""
        self._call(lambda: self.backend.unload(), "The memory could not be freed", when_idle=True)

    def switch(self, model: str | Path) -> None:
        """Load another model (a folder or Hub name) and serve it to everybody from now on.

        Those who are being answered finish with the model before; those who wait are answered by the new one. There
        must be room for both while it is loaded; if it cannot be, the one before stays.
        """
        backend = open_backend(model, self._device, self._dtype)

        def swap() -> None:
            backend.load()
            before, self._scheduler.backend, self.model = self.backend, backend, str(model)
            before.unload()

        self._call(swap, f"{model} could not be loaded", when_idle=True)

    def status(self) -> Status:
        """What is loaded, where, and what it takes."""
        backend = self.backend
        allocated, reserved = backend.memory()
        return Status(
            model=backend.name,
            device=backend.device,
            dtype=backend.dtype,
            loaded=backend.loaded,
            parameters=backend.parameters,
            allocated_bytes=allocated,
            reserved_bytes=reserved,
            resident_bytes=memory.resident(),
            running=self._scheduler.running,
            waiting=self._scheduler.waiting,
            place=self._scheduler.newcomer(),
        )

    def close(self, grace: float = 2.0) -> None:
        """Shut down within seconds: cancel those who wait, give those who run `grace` seconds, free the memory."""
        self._scheduler.close(grace)
        self.backend.unload()

    def _call(self, function: Callable[[], Any], what: str, when_idle: bool = False) -> Any:
        try:
            return self._scheduler.call(function, when_idle)
        except Exception as error:
            raise explain(error, what) from error

    def _start(
        self,
        task: str,
        pictures: list[Picture],
        text: str,
        history: History,
        settings: Settings | None,
        session: Hashable | None,
    ) -> Generation:
        settings = settings or Settings()
        spec = TASKS[task]
        if not spec.min_images <= len(pictures) <= spec.max_images:
            few, many = spec.min_images, spec.max_images
            wanted = f"{few}" if few == many else f"{few} to {many}"
            raise EngineError(f"{spec.title} takes {wanted} picture{'s' if many > 1 else ''}, not {len(pictures)}.")
        self._scheduler.check_room(session)  # refuse before doing any work
        opened = [_open(picture) for picture in pictures]
        turns, dropped = _turns(task, history)
        turns.append(_turn(task, text))
        size = opened[0].size
        # Kept for another model that may take over meanwhile; what the caller holds anyway is not held twice.
        kept = [one if isinstance(one, Image) else copy for one, copy in zip(pictures, opened, strict=True)]

        def prepare(backend: Backend, opened: list[Image]) -> Prompt:
            return backend.prepare(turns, opened, settings.max_new_tokens or spec.max_new_tokens)

        def prepare_again(backend: Backend) -> Prompt:
            return prepare(backend, [_open(picture) for picture in kept])

        backend = self.backend
        seed = settings.seed if settings.seed is not None else random.randrange(2**32)
        row = Row(prepare(backend, opened), settings.temperature, settings.top_p, random.Random(seed))
        request = Request(row, backend, prepare_again, session, settings.stop)
        draft = Result(
            task=task,
            prompt=task_prompt(task, text),
            seed=seed if settings.temperature > 0 else None,
            dropped_turns=dropped,
        )
        self._scheduler.submit(request)
        return Generation(self._scheduler, request, draft, size)


def _turn(task: str, text: str) -> dict[str, Any]:
    return {"role": "user", "task": task, "text": text}


def _turns(task: str, history: History) -> tuple[list[dict[str, Any]], int]:
    """The newest turns of a chat within our bounds, oldest first, and how many older ones were left out."""
    turns: list[dict[str, Any]] = []
    characters = 0
    for number, pair in enumerate(reversed(list(history))):
        if len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise EngineError("The history must be a list of pairs of texts: (question, answer).")
        characters += len(pair[0]) + len(pair[1])
        if number == MAX_HISTORY or characters > MAX_QUESTION:
            return turns, len(history) - number
        turns = [_turn(task, pair[0]), {"role": "assistant", "task": None, "text": pair[1]}, *turns]
    return turns, 0


def _question(text: str) -> str:
    if not isinstance(text, str) or not text.strip():
        raise EngineError("Please type a question first.")
    if len(text) > MAX_QUESTION:
        raise EngineError(f"The question has {len(text):,} characters; please keep it under {MAX_QUESTION:,}.")
    return text.strip()


def _open(picture: Picture) -> Any:
    if picture is None:
        raise EngineError("Please choose a picture first.")
    try:
        return picture_door.load(picture)
    except picture_door.ImageError as error:
        raise EngineError(str(error)) from error


_engine: Engine | None = None
_engine_lock = threading.Lock()


def get_engine(make: Callable[[], Engine] = Engine) -> Engine:
    """The engine of this process; the first call makes it, with `make`."""
    global _engine
    with _engine_lock:
        if _engine is None:
            _engine = make()
        return _engine
