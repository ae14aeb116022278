"""What is being written: the running requests of all models, and how each of them goes on and ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vlm_demo.engine.request import QueuedRequest
from vlm_demo.results import EngineError, explain, is_out_of_memory
from vlm_demo.runners.base import ModelRunner, TokenSequence

log = logging.getLogger(__name__)

CUT_SHORT = "memory ran out, so the answer ends here"


@dataclass
class Speed:
    """Moving averages of one model: seconds to read a token of a prompt, and from joining the batch to the end."""

    reading: float | None = None
    service: float | None = None


class Batch:
    """The running requests. Other threads only look; all changes are the worker's."""

    def __init__(self) -> None:
        self.running: list[QueuedRequest] = []
        self._starved: list[TokenSequence] = []  # memory ran out while they were read, for the first time
        self._speeds: dict[ModelRunner, Speed] = {}

    def __len__(self) -> int:
        return len(self.running)

    def speed(self, runner: ModelRunner) -> Speed:
        """How fast a model is, as far as that has been measured."""
        return self._speeds.setdefault(runner, Speed())

    def sequences(self, runner: ModelRunner) -> list[TokenSequence]:
        """What a model is writing."""
        return unique(request for request in list(self.running) if request.runner is runner)

    def coalesced(self, request: QueuedRequest) -> TokenSequence | None:
        """The sequence that is being written already and is what this request asks for."""
        prompt = request.sequence.prompt
        if prompt.key is None or request.sequence.temperature > 0:
            return None
        for other in self.sequences(request.runner):
            if other.prompt.key == prompt.key and other.temperature == 0:
                return other
        return None

    def read(self, runner: ModelRunner, joined: list[QueuedRequest]) -> None:
        """Encode the images, read the prompts and write the first tokens of those who have just joined."""
        if not joined:
            return
        tokens = sum(len(sequence.prompt.ids) for sequence in unique(joined))
        for request in joined:
            request.lap()  # loading is nobody's encoding time
        begin = time.perf_counter()
        for function, stage in ((runner.encode, "encode"), (runner.prefill, "prefill")):
            survivors = self.run_isolated(function, unique(joined))
            joined = [request for request in joined if request.sequence in survivors]
            for request in joined:
                setattr(request.timings, stage, request.lap())
        speed = self.speed(runner)
        speed.reading = average(speed.reading, (time.perf_counter() - begin) / max(1, tokens))
        self.postprocess(joined)

    def decode(self) -> None:
        """One more token for everybody."""
        for runner, requests in by_runner(self.running).items():
            self.run_isolated(runner.decode, unique(requests))
            self.postprocess([request for request in requests if request in self.running])

    def run_isolated(
        self, function: Callable[[list[TokenSequence]], None], sequences: list[TokenSequence]
    ) -> list[TokenSequence]:
        """Call a runner function on all sequences, or, if that raises, on one after the other: who fails, fails alone.

        Returns the sequences that survived.
        """
        try:
            function(sequences)
            return sequences
        except Exception as error:
            if len(sequences) > 1:
                return [sequence for one in sequences for sequence in self.run_isolated(function, [one])]
            if not isinstance(error, EngineError):
                log.exception("a request failed")
            self._fail(sequences[0], error)
            return []

    def postprocess(self, requests: list[QueuedRequest]) -> None:
        """After each token: wake the consumers, and let go of those who are finished."""
        for request in requests:
            error, outputs = request.sequence.error, request.outputs
            if request.done.is_set() or request.sequence in self._starved:
                continue  # another request of the same sequence came first
            if error is not None:
                self._fail(request.sequence, error)
            elif request.stopped() or outputs[-1].end:
                self.finish(request, "stop")
            elif request.cancelled:
                self.finish(request, "cancelled")
            elif len(outputs) >= request.limit:
                self.finish(request, "length")
            else:
                request.changed.set()

    def _fail(self, sequence: TokenSequence, error: Exception) -> None:
        """The requests of a sequence fail. But where memory ran out, an answer that has begun ends as it is, and one
        that has not is read once more, with less."""
        requests = [request for request in self.running if request.sequence is sequence]
        if is_out_of_memory(error):
            log.warning("memory ran out: %s", error)
            sequence.error = None  # which holds on to what was being computed
            if sequence.outputs:
                sequence.reduced = CUT_SHORT
                for request in requests:
                    self.finish(request, "length")
                return
            if not sequence.reduced:
                self._starved.append(sequence)
                return
        for request in requests:
            self.finish(request, "error", explain(error, "The model failed on this request"))

    def take_starved(self) -> list[QueuedRequest]:
        """Those who ran out of memory and are to be read again, made to need less."""
        again: list[QueuedRequest] = []
        starved, self._starved = self._starved, []
        for sequence in starved:
            requests = [request for request in self.running if request.sequence is sequence]
            try:
                requests[0].runner.release(sequence)
                requests[0].runner.reduce(sequence)
            except Exception as error:
                sequence.reduced = CUT_SHORT  # no third chance
                self._fail(sequence, error)
                continue
            for request in requests:
                request.limit = min(request.limit, sequence.prompt.max_new_tokens)
            again += requests
        return again

    def finish(self, request: QueuedRequest, finish_reason: str, error: EngineError | None = None) -> None:
        """Let go of a request; its sequence goes on while others want it."""
        self.running.remove(request)
        if all(other.sequence is not request.sequence for other in self.running):
            request.runner.release(request.sequence)
        timings = request.timings
        timings.decode = request.lap()
        if finish_reason in ("stop", "length"):
            speed = self.speed(request.runner)
            speed.service = average(speed.service, timings.encode + timings.prefill + timings.decode)
        request.end(finish_reason, error)

    def drop(self, error: EngineError) -> None:
        """Whoever was running when the worker failed is told so."""
        for request in list(self.running):
            self.running.remove(request)
            request.end("error", error)
            request.runner.release(request.sequence)


def unique(requests: Iterable[QueuedRequest]) -> list[TokenSequence]:
    """The sequences of some requests, each once."""
    return list(dict.fromkeys(request.sequence for request in requests))


def by_runner(requests: Iterable[QueuedRequest]) -> dict[ModelRunner, list[QueuedRequest]]:
    """Some requests by the model that they are for."""
    groups: dict[ModelRunner, list[QueuedRequest]] = {}
    for request in requests:
        groups.setdefault(request.runner, []).append(request)
    return groups


def average(before: float | None, now: float) -> float:
    """A moving average."""
    return now if before is None else 0.8 * before + 0.2 * now
