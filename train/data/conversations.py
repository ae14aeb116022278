"""Conversations in the JSON of LLaVA and ShareGPT: several turns, several images, `<image>` where one is placed.

LLaVA (https://github.com/haotian-liu/LLaVA): {"image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\n
What is this?"}, {"from": "gpt", "value": "A cat."}]}. ShareGPT, as LLaMA-Factory reads it: the same, or {"messages":
[{"role", "content"}]}, with "images": ["a.jpg", ...]. Only the assistant's turns are learned.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .base import InvalidRow, LazyExample, LazyImage, Source, SourceError, stored_image

ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
PLACEHOLDER = "<image>"


class Conversations(Source):
    """Rows with `conversations` or `messages`; images are named relative to `folder`."""

    def __init__(self, rows: Sequence[Any], name: str, folder: Path) -> None:
        super().__init__(name)
        self.rows, self.folder = rows, folder

    def __len__(self) -> int:
        return len(self.rows)

    def lazy_example(self, index: int, epoch: int = 0) -> LazyExample:
        row, name = self.rows[index], self.row_name(index)
        if not isinstance(row, dict):
            raise InvalidRow(name, "this is not a JSON object")
        images = self._images(row, name)
        turns = _turns(row.get("conversations") or row.get("messages"), name)
        placed = sum(part["type"] == "image" for turn in turns for part in turn.get("content", []))
        if placed not in (0, len(images)):
            raise InvalidRow(name, f"the text places {placed} images, but there are {len(images)}")
        return LazyExample("vqa", images, turns, {"answer": turns[-1]["text"]}, name)

    def _images(self, row: dict[str, Any], name: str) -> tuple[LazyImage, ...]:
        cells = row.get("images") or row.get("image") or []
        images = []
        for cell in cells if isinstance(cells, list) else [cells]:
            if isinstance(cell, str):
                path = self.folder / cell
                if not _within(path, self.folder):
                    raise InvalidRow(name, f"the image {cell} lies outside {self.folder}")
                if not path.is_file():
                    raise InvalidRow(name, f"there is no image {path}")
                cell = {"bytes": path.read_bytes()}
            images.append(stored_image(cell, name))
        return tuple(images)


def read_conversations(path: Path) -> list[Any]:
    """The rows of a .json file (one list) or a .jsonl file (one object per line; damaged lines are invalid rows)."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".jsonl":
            rows = json.loads(text)
            if not isinstance(rows, list):
                raise SourceError(f"{path} must hold a list of conversations.")
            return rows
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SourceError(f"{path} cannot be read as JSON: {error}") from error
    rows = []
    for line in filter(str.strip, text.splitlines()):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            rows.append(None)
    return rows


def _within(path: Path, folder: Path) -> bool:
    """Whether a path as it is written stays in a folder; what a link in the folder leads to is its owner's choice."""
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def _turns(items: Any, name: str) -> list[dict[str, Any]]:
    """Turns as the processor takes them, without system turns and without a last question that nobody answers."""
    turns: list[dict[str, Any]] = []
    for item in items if isinstance(items, list) else []:
        turn = item if isinstance(item, dict) else {}
        role, text = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
        if role == "system":
            continue
        if role not in ROLES or not isinstance(text, str):
            raise InvalidRow(name, f"a turn has no text or an unknown role {role!r}")
        if ROLES[role] != ("user", "assistant")[len(turns) % 2]:
            raise InvalidRow(name, "the turns do not alternate between user and assistant")
        if ROLES[role] == "assistant":
            turns.append({"role": "assistant", "text": text.strip()})
        else:
            turns.append({"role": "user", "task": "vqa", **_user_content(text)})
    turns = turns[: len(turns) // 2 * 2]
    if not turns:
        raise InvalidRow(name, "there is no question with an answer")
    return turns


def _user_content(text: str) -> dict[str, Any]:
    """A user's text; with placeholders in it, as parts that say where the images are."""
    if PLACEHOLDER not in text:
        return {"text": text.strip()}
    parts: list[dict[str, str]] = []
    for number, text_part in enumerate(text.split(PLACEHOLDER)):
        parts += [{"type": "image"}] * (number > 0)
        parts += [{"type": "text", "text": text_part.strip()}] * bool(text_part.strip())
    return {"content": parts}
