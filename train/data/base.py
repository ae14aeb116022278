"""What every source of training data gives: `Example`, and how rows that cannot be read are left out."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from vlm_demo import images


class SourceError(ValueError):
    """A source cannot be opened; the message says what to do."""


class BadRow(ValueError):
    """A row that cannot be used: its name, such as "flickr8k/train row 17", and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why = name, why


@dataclass(frozen=True)
class Picture:
    """A picture that is decoded or drawn only when it is needed; `key` is the same for the same content."""

    key: str
    open: Callable[[], Image.Image]


@dataclass(frozen=True)
class Draft:
    """An `Example` whose pictures are not opened yet: all that text, lengths and cached features need."""

    task: str
    pictures: tuple[Picture, ...]
    turns: list[dict[str, Any]]
    truth: dict[str, Any]
    name: str

    def opened(self) -> "Example":
        """The example with its pictures decoded; raises BadRow where one is damaged."""
        try:
            opened = tuple(picture.open() for picture in self.pictures)
        except images.ImageError as error:
            raise BadRow(self.name, str(error)) from error
        keys = tuple(picture.key for picture in self.pictures)
        return Example(self.task, opened, self.turns, self.truth, self.name, keys)


@dataclass(frozen=True)
class Example:
    """One chat about some pictures, with what is true of it.

    Attributes:
        task: "caption", "detect", "vqa" or "compare".
        images: The pictures, upright RGB.
        turns: As `MiniVLMProcessor.encode_chat_with_labels` takes them, user and assistant by turns.
        truth: For evaluation: {"captions": [str, ...]} | {"labels": [str], "boxes": [[x, y, w, h] 0..1]} |
            {"answers": [str, ...]} | {"answer": str}.
        name: Such as "flickr8k/train row 17", for messages.
        image_keys: One for each picture; the same content has the same key.
    """

    task: str
    images: tuple[Image.Image, ...]
    turns: list[dict[str, Any]]
    truth: dict[str, Any]
    name: str
    image_keys: tuple[str, ...]


class Source:
    """Rows by number. A subclass gives `__len__` and `draft`.

    `bad` collects the rows that were left out, name to reason.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.bad: dict[str, str] = {}

    def __len__(self) -> int:
        raise NotImplementedError

    def row_name(self, index: int) -> str:
        """How messages call a row."""
        return f"{self.name} row {index}"

    def draft(self, index: int, epoch: int = 0) -> Draft:
        """Row `index`; what is left to chance depends on index and epoch only. Raises BadRow."""
        raise NotImplementedError

    def example(self, index: int, epoch: int = 0) -> Example:
        """`draft` with its pictures decoded. Raises BadRow."""
        return self.draft(index, epoch).opened()

    def examples(self, limit: int | None = None) -> Iterator[Example]:
        """The first `limit` rows that can be read, in order; the others go to `bad`."""
        given = 0
        for index in range(len(self)):
            if given == limit:
                return
            try:
                example = self.example(index)
            except BadRow as bad:
                self.bad[bad.name] = bad.why
                continue
            given += 1
            yield example


def stored_picture(cell: Any, name: str) -> Picture:
    """The picture in a cell of an undecoded image column, `{"bytes", "path"}`; raises BadRow where there is none."""
    data = cell.get("bytes") or cell.get("path") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes | str) or not data:
        raise BadRow(name, "there is no picture")
    digest = hashlib.sha256(data if isinstance(data, bytes) else f"file {data}".encode())
    return Picture(digest.hexdigest()[:32], partial(images.decode, data))


def told(value: Any) -> str:
    """A text cell in one line; empty where there is none."""
    return " ".join(value.split()) if isinstance(value, str) else ""


def chat(task: str | None, question: str, answer: str) -> list[dict[str, Any]]:
    """One question and its answer, as turns."""
    return [{"role": "user", "task": task, "text": question}, {"role": "assistant", "text": answer}]
