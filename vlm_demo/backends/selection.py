"""Which of several images? Asked image by image: are the words true of this one?

A model that has learned to judge single images need not have learned to compare them. The image of which the words are
most probably true is the answer; where they are probable of none, none of them is meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from dataclasses import replace

from vlm_demo.backends.base import Backend, Generation
from vlm_demo.images import LoadedImage
from vlm_demo.results import EngineError, Message, Position, Request, Result, SamplingParameters, Token
from vlm_demo.tasks import TASKS

WHICH = re.compile(
    r"^\s*(?:in )?which (?:one )?(?:of (?:them|these|the) )?(?:image|picture|photo|one)?s?\s*"
    r"(?:shows?|has|have|contains?|fits?|is of|is there|are there|depicts?|features?)\s*(?:this)?\s*:?\s*"
    r"(?P<words>.+?)\s*\??\s*$",
    re.IGNORECASE,
)
COMPARATIVES = re.compile(
    r"\b(more|most|fewer|fewest|less|least|larger|largest|bigger|biggest|smaller|smallest)\b", re.IGNORECASE
)
SHORT = 4  # words; so few name a thing that is there or not, more describe a scene
THERE, TRUE = 0.5, 0.25  # chance from which a thing is there, and a description true of one of the images
NONE = "None of them."


def described(request: Request) -> str | None:
    """What a request asks to be found among its images; None where it asks something else."""
    images = [image for message in request.messages for image in message.images]
    match = WHICH.match(request.messages[-1].text)
    if request.task != "compare" or len(images) < 2 or not match or COMPARATIVES.search(match["words"]):
        return None
    return match["words"].strip()


def log_likelihood(result: Result) -> tuple[float, int]:
    """Logarithm of the probability of an answer that was dictated, and its number of tokens."""
    return sum(math.log(max(token.probability, 1e-12)) for token in result.tokens), len(result.tokens)


class Selection:
    """A `Generation` that asks about one image after another."""

    def __init__(self, backend: Backend, request: Request, words: str, session: Hashable | None) -> None:
        self._draft = Result(task=request.task, prompt=f"{TASKS[request.task].tag} {request.messages[-1].text}")
        self._draft.model = backend.name
        self._draft.calibrated = True  # the shares are of these images, not the chance of being right
        images = [image for message in request.messages for image in message.images]
        self._names = len(words.split()) <= SHORT
        self._parts: list[Generation] = [
            backend.stream(self._question(image, words, request.model), session) for image in images
        ]
        self._final: Result | None = None

    def _question(self, image: LoadedImage, words: str, model: str | None) -> Request:
        sentence = f"{words[0].upper()}{words[1:].rstrip('.')}."
        text = f"Is there {words}?" if self._names else f"Is this true: {sentence}"
        return Request("vqa", (Message("user", (image, text)),), SamplingParameters(choices=("yes",)), model)

    def __iter__(self) -> Iterator[Result]:
        return self.partials()

    def partials(self, interval: float = 0.05) -> Iterator[Result]:
        """Yield a Result whenever one image has been looked at; the last one is final."""
        try:
            for part in self._parts:
                for partial in part.partials(interval):
                    yield replace(self._draft, position=partial.position)
            yield self.result()
        finally:
            self.cancel()

    async def updates(self, interval: float = 0.05) -> AsyncIterator[Result]:
        """Like `partials`, for an event loop."""
        try:
            for part in self._parts:
                async for partial in part.updates(interval):
                    yield replace(self._draft, position=partial.position)
            yield self.result()
        finally:
            self.cancel()

    def result(self) -> Result:
        """Wait for the end and return the final Result."""
        if self._final is None:
            self._final = self._decide([part.result() for part in self._parts])
        return self._final

    def cancel(self) -> None:
        for part in self._parts:
            part.cancel()

    @property
    def done(self) -> bool:
        return all(part.done for part in self._parts)

    @property
    def position(self) -> Position | None:
        return next((part.position for part in self._parts if not part.done), None)

    def _decide(self, results: Sequence[Result]) -> Result:
        draft = replace(self._draft)
        for result in results:
            if result.finish_reason == "cancelled":
                return replace(draft, finish_reason="cancelled")
            for name in ("queue", "encode", "prefill", "decode"):
                setattr(draft.timings, name, getattr(draft.timings, name) + getattr(result.timings, name))
        chances = [math.exp(log_likelihood(result)[0]) for result in results]  # that the answer is yes
        none = math.prod(1 - chance for chance in chances)
        weights = [chance / max(1 - chance, 1e-6) for chance in chances]
        chosen = max(chances) >= (THERE if self._names else TRUE)
        shares = [(1 - none) * weight / sum(weights) for weight in weights]
        number = max(range(len(shares)), key=shares.__getitem__)
        text = f"Image {number + 1}." if chosen else NONE
        named = [(f"Image {n + 1}.", share) for n, share in enumerate(shares)]
        draft.tokens = [Token(-1, text, shares[number] if chosen else none, sorted(named, key=lambda one: -one[1]))]
        draft.outside = any(result.outside for result in results)
        draft.novelty = [score for result in results for score in result.novelty]
        draft.prompt_tokens = sum(result.prompt_tokens for result in results)
        draft.new_tokens = sum(result.new_tokens for result in results)
        return replace(draft, text=text, finish_reason="stop")


def choose(generations: Sequence[Generation]) -> list[float]:
    """How probable each of several dictated answers is beside the others, as shares; by the mean over its tokens, so
    that long answers are not at a disadvantage."""
    means = []
    for generation in generations:
        result = generation.result()
        score, length = log_likelihood(result)
        if not length:
            raise EngineError(f"{result.model} does not tell how probable its answers are, so it cannot choose one.")
        means.append(score / length)
    weights = [math.exp(mean - max(means)) for mean in means]
    return [weight / sum(weights) for weight in weights]
