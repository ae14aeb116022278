"""What every source of training data yields: `Example`; and how rows that cannot be read are left out."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from vlm_demo import images


class SourceError(ValueError):
    """A source cannot be opened; the message says what to do."""


class InvalidRow(ValueError):
    """A row that cannot be used: its name, such as "flickr8k/train row 17", and the reason."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why = name, why


@dataclass(frozen=True)
class LazyImage:
    """An image that is decoded or drawn only when it is needed; `key` is the same for the same content."""

    key: str
    open: Callable[[], Image.Image]


@dataclass(frozen=True)
class LazyExample:
    """An `Example` whose images are not opened yet: all that text, lengths and cached features need."""

    task: str
    images: tuple[LazyImage, ...]
    turns: list[dict[str, Any]]
    reference: dict[str, Any]
    name: str

    def opened(self) -> "Example":
        """The example with its images decoded; raises InvalidRow where one is damaged."""
        try:
            opened = tuple(image.open() for image in self.images)
        except images.ImageError as error:
            raise InvalidRow(self.name, str(error)) from error
        keys = tuple(image.key for image in self.images)
        return Example(self.task, opened, self.turns, self.reference, self.name, keys)


@dataclass(frozen=True)
class Example:
    """One chat about some images, with the reference that answers are compared with.

    Attributes:
        task: "caption", "detect", "vqa" or "compare".
        images: The images, upright RGB.
        turns: As `MiniVLMProcessor.encode_chat_with_labels` takes them, user and assistant alternating.
        reference: For evaluation: {"captions": [str, ...]} | {"labels": [str], "boxes": [[x, y, w, h] 0..1]} |
            {"answers": [str, ...]} | {"answer": str}.
        name: For messages, such as "flickr8k/train row 17".
        image_keys: One for each image; the same content has the same key.
    """

    task: str
    images: tuple[Image.Image, ...]
    turns: list[dict[str, Any]]
    reference: dict[str, Any]
    name: str
    image_keys: tuple[str, ...]


class Source:
    """Examples by row number. A subclass implements `__len__` and `lazy_example`.

    `invalid_rows` collects the rows (and boxes) that were left out, name to reason.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.invalid_rows: dict[str, str] = {}

    def __len__(self) -> int:
        raise NotImplementedError

    def row_name(self, index: int) -> str:
        """How messages call a row."""
        return f"{self.name} row {index}"

    def lazy_example(self, index: int, epoch: int = 0) -> LazyExample:
        """The example of row `index`; what is random depends on index and epoch only. Raises InvalidRow."""
        raise NotImplementedError

    def example(self, index: int, epoch: int = 0) -> Example:
        """`lazy_example` with its images decoded. Raises InvalidRow."""
        return self.lazy_example(index, epoch).opened()

    def examples(self, limit: int | None = None) -> Iterator[Example]:
        """The first `limit` rows that can be read, in order; the others go to `invalid_rows`."""
        count = 0
        for index in range(len(self)):
            if count == limit:
                return
            try:
                example = self.example(index)
            except InvalidRow as error:
                self.invalid_rows[error.name] = error.why
                continue
            count += 1
            yield example


def stored_image(cell: Any, name: str) -> LazyImage:
    """The image in a cell of an undecoded image column, `{"bytes", "path"}`; raises InvalidRow where there is none."""
    data = cell.get("bytes") or cell.get("path") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes | str) or not data:
        raise InvalidRow(name, "there is no image")
    digest = hashlib.sha256(data if isinstance(data, bytes) else f"file {data}".encode())
    return LazyImage(digest.hexdigest()[:32], partial(images.decode, data))


def one_line(value: Any) -> str:
    """A text cell in one line; empty where there is none."""
    return " ".join(value.split()) if isinstance(value, str) else ""


def chat(task: str | None, question: str, answer: str) -> list[dict[str, Any]]:
    """One question and its answer, as turns."""
    return [{"role": "user", "task": task, "text": question}, {"role": "assistant", "text": answer}]
