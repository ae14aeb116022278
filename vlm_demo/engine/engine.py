"""The models of this process, behind one method, `stream`, and four that help with it, each whole or as a stream:
caption, detect, answer, compare.

    engine = get_engine()
    print(engine.caption(image).text)
    for partial in engine.answer_stream(image, "How many cats?"):
        print(partial.text)

Importing this module loads neither torch nor a model; the first call does, or `Engine.load()`.
"""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vlm_demo import memory
from vlm_demo.backends.base import Backend, Capabilities, Generation
from vlm_demo.checkpoints import bundled
from vlm_demo.description import Description
from vlm_demo.engine.generation import begin
from vlm_demo.engine.intake import ImageSource, check, open_image, opened
from vlm_demo.engine.models import Models, runner_of
from vlm_demo.engine.opening import Opening
from vlm_demo.engine.scheduler import Scheduler
from vlm_demo.engine.tasks import Tasks
from vlm_demo.engine.zerogpu import on_zero_gpu
from vlm_demo.results import EngineError, Novelty, Request, Status, explain
from vlm_demo.runners.base import ModelRunner
from vlm_demo.runners.needs import Needs, look_up
from vlm_demo.runners.vision import ImageInput

PHOTOGRAPHS, ICONS = bundled("minivlm-photographs"), bundled("minivlm-icons")
MEMORY_BUDGET = 8_000_000_000  # bytes for all models together; one model alone may take more
SMALL = 200_000_000  # parameters of a model that is taken to be quick before it has answered anything


class Engine(Tasks):
    """The models of this process, loaded on first use, shared by all threads and sessions.

    `model`: folder or Hub name of a MiniVLM checkpoint, or of an image-text-to-text model of another family, or a
    server's FAMILY=URL, or NAME:untrained, which has random weights; default is $VLM_DEMO_MODEL, else the bundled ones,
    photographs first. `models`: others that a request may name, and of all of them NAME:untrained. Those used lately
    stay loaded, as far as `memory_budget` bytes reach. `device`: cuda, mps, cpu or auto. `dtype`: float32, bfloat16,
    float16, int8 (MiniVLM on a CPU) or auto, which is half precision on a GPU, and on a CPU int8 for Llama-shaped
    models where that is measured to be faster, else float32. Methods take `session`, any hashable standing for one
    user: sessions take turns, and each runs one request at a time; where they are `Visitor`s, so do addresses. All
    methods raise EngineError with words for people, bad arguments before anything is queued.

    What was computed for an image is shared by all sessions. No result says so, but time does: an answer about a
    image that someone has asked about lately comes sooner. Whoever must hide even that runs an engine of their own.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
        runner: ModelRunner | None = None,
        models: Sequence[str | Path] = (),
        memory_budget: int = MEMORY_BUDGET,
        **limits: int,
    ) -> None:
        """`runner` stands in for the model's own one; `limits` are those of Scheduler (max_waiting and so on)."""
        named = shlex.split(os.environ.get("VLM_DEMO_MODEL", ""))
        if model is None and runner is None and named:
            model, models = named[0], [*named[1:], *models]
        if model is None and runner is None and not models:
            models = [ICONS]
        self._scheduler = Scheduler(memory_budget, **limits)
        self._models = Models(device, dtype, partial(begin, self._scheduler))
        self.opening: Opening | None = None  # the latest
        self._opening_lock = threading.Lock()
        self.model = self._models.add(runner.name if runner else model or PHOTOGRAPHS, runner)
        for other in models:
            self._models.add(other)

    @property
    def models(self) -> list[str]:
        """The names of models that a request may carry."""
        return self._models.names

    @property
    def runner(self) -> ModelRunner | None:
        """What writes for those who name no model; None where that is a server."""
        return self._runner(None)

    @property
    def device(self) -> str:
        """Where models of this process run, as it was asked for."""
        return self._models.device

    def stream(self, request: Request, session: Hashable | None = None) -> Generation:
        """Begin an answer to a request."""
        backend = self._backend(request.model)
        check(request)
        self._scheduler.check_room(session)  # refuse before doing any work
        return backend.stream(opened(request), session)

    def novelty(self, image: ImageSource, model: str | None = None) -> Novelty:
        """How far an image lies from the images that the model was trained on."""
        runner = self._runner(model)
        if runner is None:
            return Novelty(None, None, False)
        prompt = runner.prepare([{"role": "user", "task": "caption", "text": "brief"}], [open_image(image)], 1)

        def measure() -> Novelty:
            self._scheduler.load(runner)
            return self._scheduler.call(lambda: runner.novelty(prompt)[0])

        return _explained(measure, "The image could not be measured")

    def untrained(self, model: str) -> str | None:
        """The name by which a request reaches a model's architecture with random weights, made on first use; None where
        there is none, as of a server's model."""
        return self._models.untrained(model)

    def parameters(self, model: str | None = None) -> int | None:
        """How many numbers a model has; None until it has been loaded, and where that is elsewhere."""
        return getattr(self._runner(model), "parameters", None) or None

    def image_input(self, model: str | None = None) -> ImageInput | None:
        """How a model takes an image in; None where it does not tell."""
        tell = getattr(self._runner(model), "image_input", None)
        return None if tell is None else _explained(tell, "How images are taken in could not be found out")

    def name(self, model: str | None = None) -> str:
        """What a model is called in results."""
        return self._backend(model).name

    def description(self, model: str | None = None) -> Description:
        """What a model says of itself."""
        return self._backend(model).description

    def capabilities(self, model: str | None = None) -> Capabilities:
        """What a model can do, known before it is loaded."""
        return self._backend(model).capabilities

    def quick(self, model: str | None = None, seconds: float = 3.0) -> bool:
        """Whether an answer would come at once if it were asked for now: the model is in the memory of this process, is
        small or has lately answered within so many seconds, and nobody waits for it."""
        runner = self._runner(model)
        if runner is None or not runner.loaded or self._scheduler.next_position(runner) is not None:
            return False
        service = self._scheduler.service(runner)
        return runner.parameters <= SMALL if service is None else service < seconds

    def load(self, model: str | None = None) -> None:
        """Load a model now instead of on first use; waits until it is there."""
        self._load(model, "The model could not be loaded")

    def unload(self) -> None:
        """Free the models' memory once those who are running have finished; the next use loads them again."""
        _explained(self._scheduler.unload, "The memory could not be freed")

    def look_up(self, model: str) -> Needs:
        """What a folder or Hub name would take, before anything of its weights is brought here."""
        return look_up(model, self._models.device, self._models.dtype)

    def open(self, needs: Needs) -> Opening:
        """Begin to open another model; those that are there go on answering. One at a time."""
        name = needs.source
        if on_zero_gpu():
            raise EngineError("On a ZeroGPU Space the models are those that VLM_DEMO_MODEL names at its start.")
        with self._opening_lock:
            if self.is_opening:
                raise EngineError(f"{self.opening.needs.source} is being loaded. Please try again when it is here.")
            if name in self._models:
                raise EngineError(f"{name} is here already. Choose it among the models.")
            self.opening = Opening(
                needs,
                self._models.device,
                self._scheduler,
                self._models.new_runner,
                lambda runner: self._models.add(name, runner),
            )
            return self.opening

    @property
    def is_opening(self) -> bool:
        """Whether another model is on its way."""
        return self.opening is not None and not self.opening.done.is_set()

    def switch(self, model: str | Path) -> None:
        """Load a model (a folder or Hub name) and let it answer those who name none from now on.

        Whoever has asked already is answered by the model before; if the new one cannot be loaded, that stays.
        """
        before = self.models
        name = self._models.add(model)
        try:
            self._load(name, f"{name} could not be loaded")
        except EngineError:
            if name not in before:
                self._models.remove(name)
            raise
        self.model = name

    def status(self) -> Status:
        """What is loaded, where, and what it takes; the sizes are those of all models together."""
        backend, runner = self._backend(None), self.runner
        sizes = [backend.memory() for backend in self._models]
        allocated = sum(size for size, _ in sizes)
        return Status(
            model=backend.name,
            device=runner.device if runner else "elsewhere",
            dtype=runner.dtype if runner else "",
            loaded=backend.loaded,
            parameters=runner.parameters if runner else 0,
            allocated_bytes=allocated,
            reserved_bytes=max([allocated, *(size for _, size in sizes)]),
            resident_bytes=memory.resident(),
            running=self._scheduler.running,
            waiting=self._scheduler.waiting,
            position=self._scheduler.next_position(runner) if runner else None,
        )

    def close(self, grace: float = 2.0) -> None:
        """Shut down within seconds: cancel those who wait, give those who run `grace` seconds, free the memory."""
        if self.opening is not None:
            self.opening.cancel()
        for backend in self._models:
            backend.close()
        self._scheduler.close(grace)

    def _load(self, model: str | None, what: str) -> None:
        runner = self._runner(model)
        _explained(lambda: self._scheduler.load(runner) if runner else self._backend(model).load(), what)

    def _backend(self, model: str | None) -> Backend:
        """A model by its name, the engine's own for None."""
        return self._models.find(self.model if model is None else model)

    def _runner(self, model: str | None) -> ModelRunner | None:
        """What writes in this process for a model; None where that is a server."""
        return runner_of(self._backend(model))


def _explained(function: Callable[[], Any], what: str) -> Any:
    """The result of a function, or its error in words for people; `what` says what could not be done."""
    try:
        return function()
    except Exception as error:
        raise explain(error, what) from error


_engine: Engine | None = None
_engine_lock = threading.Lock()


def get_engine(make: Callable[[], Engine] = Engine) -> Engine:
    """The engine of this process; the first call makes it, with `make`."""
    global _engine
    with _engine_lock:
        if _engine is None:
            _engine = make()
        return _engine
