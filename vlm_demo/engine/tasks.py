"""One method a task, whole or as a stream: thin helpers over `stream(request)`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from vlm_demo.backends.base import Generation
from vlm_demo.backends.selection import choose
from vlm_demo.engine.intake import History, ImageSource, checked_box, new_request
from vlm_demo.results import EngineError, Request, Result, SamplingParameters
from vlm_demo.tasks import TASKS, box_question


class Tasks:
    """Caption, detect, answer, compare and choose, for a subclass that has `stream`."""

    def stream(self, request: Request, session: Hashable | None = None) -> Generation:
        """Begin an answer to a request."""
        raise NotImplementedError

    def caption(
        self,
        image: ImageSource,
        style: str = "brief",
        settings: SamplingParameters | None = None,
        session: Hashable | None = None,
        model: str | None = None,
    ) -> Result:
        """Describe an image; `style` is "brief", "detailed" or "alt"."""
        return self.caption_stream(image, style, settings, session, model).result()

    def detect(
        self,
        image: ImageSource,
        settings: SamplingParameters | None = None,
        session: Hashable | None = None,
        model: str | None = None,
        what: str = "",
    ) -> Result:
        """Find the objects in an image, or those that `what` names ("dogs", "the cat on the left"); see
        `Result.parsed`."""
        return self.detect_stream(image, settings, session, model, what).result()

    def answer(
        self,
        images: ImageSource | list[ImageSource],
        question: str,
        history: History = (),
        settings: SamplingParameters | None = None,
        session: Hashable | None = None,
        model: str | None = None,
    ) -> Result:
        """Answer a question about one or several images; `history` holds earlier (question, answer) pairs."""
        return self.answer_stream(images, question, history, settings, session, model).result()

    def compare(
        self,
        images: list[ImageSource],
        question: str = "change",
        settings: SamplingParameters | None = None,
        session: Hashable | None = None,
        model: str | None = None,
    ) -> Result:
        """Compare two to four images; `question` is free text or a key of `TASKS["compare"].prompts`."""
        return self.compare_stream(images, question, settings, session, model).result()

    def caption_stream(
        self,
        image: ImageSource,
        style: str = "brief",
        settings: SamplingParameters | None = None,
        session: Hashable | None = None,
        model: str | None = None,
    ) -> Generation:
        """Like `caption`, as a Generation."""
        styles = TASKS["caption"].prompts
        if style not in styles:
            raise EngineError(f"There is no caption style {style!r}; choose one of {', '.join(styles)}.")
        return self.stream(new_request("caption", [image], styles[style], (), settings, model), session)

    def detect_stream(
        self,
        image: ImageSource,
        settings: SamplingParameters | None = None,
        session: Hashable | None = None,
        model: str | None = None,
        what: str = "",
    ) -> Generation:
        """Like `detect`, as a Generation."""
        return self.stream(new_request("detect", [image], what, (), settings, model), session)

    def answer_stream(
        self,
        images: ImageSource | list[ImageSource],
        question: str,
        history: History = (),
        settings: SamplingParameters | None = None,
        session: Hashable | None = None,
        model: str | None = None,
    ) -> Generation:
        """Like `answer`, as a Generation."""
        several = list(images) if isinstance(images, list | tuple) else [images]
        return self.stream(new_request("vqa", several, question, history, settings, model), session)

    def compare_stream(
        self,
        images: list[ImageSource],
        question: str = "change",
        settings: SamplingParameters | None = None,
        session: Hashable | None = None,
        model: str | None = None,
    ) -> Generation:
        """Like `compare`, as a Generation."""
        words = TASKS["compare"].prompts.get(question, question)
        return self.stream(new_request("compare", list(images), words, (), settings, model), session)

    def describe_box(
        self,
        image: ImageSource,
        box: Sequence[float],
        settings: SamplingParameters | None = None,
        session: Hashable | None = None,
        model: str | None = None,
    ) -> Result:
        """Words for what is in a box [x, y, width, height], 0 to 1; raises EngineError where it lies outside."""
        return self.describe_box_stream(image, box, settings, session, model).result()

    def describe_box_stream(
        self,
        image: ImageSource,
        box: Sequence[float],
        settings: SamplingParameters | None = None,
        session: Hashable | None = None,
        model: str | None = None,
    ) -> Generation:
        """Like `describe_box`, as a Generation."""
        return self.answer_stream(image, box_question(checked_box(box)), (), settings, session, model)

    def choose(
        self,
        images: ImageSource | list[ImageSource],
        question: str,
        choices: Sequence[str],
        session: Hashable | None = None,
        model: str | None = None,
    ) -> dict[str, float]:
        """How probable each of several answers to a question is beside the others: text -> share."""
        several = list(images) if isinstance(images, list | tuple) else [images]
        requests = [
            new_request("vqa", several, question, (), SamplingParameters(choices=(text,)), model) for text in choices
        ]
        return dict(zip(choices, choose([self.stream(request, session) for request in requests]), strict=True))
