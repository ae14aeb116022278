"""A model on its way into a running engine: downloaded, loaded, checked, while those that are there go on answering."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from PIL import Image

from vlm_demo.engine.scheduler import Scheduler
from vlm_demo.images import load
from vlm_demo.results import EngineError, explain
from vlm_demo.runners.base import ModelRunner, TokenSequence
from vlm_demo.runners.fetch import Cancelled, fetch
from vlm_demo.runners.needs import Needs
from vlm_demo.runners.trouble import explain_source

log = logging.getLogger(__name__)

TRIAL_TOKENS = 4  # written to see whether a model works
TRIALS = (("caption", "brief"), ("vqa", "What is this?"))  # the first of these that the family can


class Opening:
    """One model that is being opened, in a thread of its own.

    `stage` is "waiting", "downloading", "loading", "checking", and at the end "ready", "cancelled" or "failed", whose
    reason is `error`. `fetched` counts bytes.
    """

    def __init__(
        self,
        needs: Needs,
        device: str,
        scheduler: Scheduler,
        new_runner: Callable[[str], ModelRunner],
        add: Callable[[ModelRunner], None],
    ) -> None:
        """`new_runner` makes a runner for a folder; `add` takes it once it has passed."""
        self.needs = needs
        self.stage = "waiting"
        self.fetched = 0
        self.error: EngineError | None = None
        self.done = threading.Event()
        self._device, self._scheduler, self._new_runner, self._add = device, scheduler, new_runner, add
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._work, name="opening", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Give it up: at once while it is downloaded, else as soon as its weights have been read."""
        self._cancelled.set()

    def result(self) -> str:
        """Wait for the end; returns the model's name, raises EngineError when there is none."""
        self.done.wait()
        if self.error is not None:
            raise self.error
        return self.needs.source

    def _work(self) -> None:
        try:
            self._open()
            self.stage = "ready"
        except Cancelled:
            self.error = EngineError(f"{self.needs.source} was cancelled.")
            self.stage = "cancelled"
        except Exception as error:
            if not isinstance(error, EngineError):
                log.exception("a model could not be opened")
            # A new one, since the traceback of the other holds on to what was being loaded.
            self.error = EngineError(str(explain_source(error, self.needs.source)))
            self.stage = "failed"
        finally:
            self.done.set()

    def _open(self) -> None:
        self.needs.check(self._device)
        folder = self.needs.source
        if self.needs.revision is not None:
            self.stage = "downloading"
            folder = str(fetch(self.needs, self._tell, self._cancelled))
        self._go_on("loading")
        runner = self._new_runner(folder)
        runner.name = self.needs.source if self.needs.revision else runner.name
        self._scheduler.make_room(self.needs.memory)
        try:
            runner.load()
            self._go_on("checking")
            check(runner)
            self._go_on("checking")
            self._scheduler.adopt(runner)
        except BaseException:
            runner.unload()
            raise
        self._add(runner)

    def _tell(self, fetched: int) -> None:
        self.fetched = fetched

    def _go_on(self, stage: str) -> None:
        """Begin a stage, unless nobody wants the model any more."""
        if self._cancelled.is_set():
            raise Cancelled
        self.stage = stage


def check(runner: ModelRunner) -> None:
    """Let a loaded model, which nobody else uses yet, write a few tokens; raises EngineError when it cannot."""
    dialect = getattr(runner, "dialect", None)
    task, text = next(trial for trial in TRIALS if dialect is None or trial[0] in dialect.tasks)
    image = load(Image.effect_noise((64, 64), 60))
    sequence = TokenSequence(runner.prepare([{"role": "user", "task": task, "text": text}], [image], TRIAL_TOKENS))
    try:
        runner.encode([sequence])
        runner.prefill([sequence])
        while sequence.error is None and len(sequence.outputs) < TRIAL_TOKENS and not sequence.outputs[-1].end:
            runner.decode([sequence])
        runner.text([output.id for output in sequence.outputs])
    except Exception as error:
        raise explain(error, f"{runner.name} was loaded, but does not answer") from error
    finally:
        runner.release(sequence)
    if sequence.error is not None:
        raise explain(sequence.error, f"{runner.name} was loaded, but does not answer") from sequence.error
