"""Conversations in the JSON of LLaVA and ShareGPT: several turns, several pictures, `<image>` where one is placed.

LLaVA (https://github.com/haotian-liu/LLaVA): {"image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\n
What is this?"}, {"from": "gpt", "value": "A cat."}]}. ShareGPT, as LLaMA-Factory reads it: the same, or {"messages":
[{"role", "content"}]}, with "images": ["a.jpg", ...]. Only the assistant's turns are learned.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .base import BadRow, Draft, Picture, Source, SourceError, stored_picture

ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
MARK = "<image>"


class Conversations(Source):
    """Rows with `conversations` or `messages`; pictures are named relative to `folder`."""

    def __init__(self, rows: Sequence[Any], name: str, folder: Path) -> None:
        super().__init__(name)
        self.rows, self.folder = rows, folder

    def __len__(self) -> int:
        return len(self.rows)

    def draft(self, index: int, epoch: int = 0) -> Draft:
        row, name = self.rows[index], self.row_name(index)
        if not isinstance(row, dict):
            raise BadRow(name, "this is not a JSON object")
        pictures = self._pictures(row, name)
        turns = _turns(row.get("conversations") or row.get("messages"), name)
        marks = sum(part["type"] == "image" for turn in turns for part in turn.get("content", []))
        if marks not in (0, len(pictures)):
            raise BadRow(name, f"the text places {marks} pictures, but there are {len(pictures)}")
        return Draft("vqa", pictures, turns, {"answer": turns[-1]["text"]}, name)

    def _pictures(self, row: dict[str, Any], name: str) -> tuple[Picture, ...]:
        given = row.get("images") or row.get("image") or []
        found = []
        for cell in given if isinstance(given, list) else [given]:
            if isinstance(cell, str):
                path = self.folder / cell
                if not _within(path, self.folder):
                    raise BadRow(name, f"the picture {cell} lies outside {self.folder}")
                if not path.is_file():
                    raise BadRow(name, f"there is no picture {path}")
                cell = {"bytes": path.read_bytes()}
            found.append(stored_picture(cell, name))
        return tuple(found)


def read_conversations(path: Path) -> list[Any]:
    """The rows of a .json file (one list) or a .jsonl file (one object a line; a damaged line becomes a bad row)."""
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


def _turns(given: Any, name: str) -> list[dict[str, Any]]:
    """Turns as the processor takes them, without system turns and without a last question that nobody answers."""
    turns: list[dict[str, Any]] = []
    for item in given if isinstance(given, list) else []:
        said = item if isinstance(item, dict) else {}
        role, text = said.get("from", said.get("role")), said.get("value", said.get("content"))
        if role == "system":
            continue
        if role not in ROLES or not isinstance(text, str):
            raise BadRow(name, f"a turn has no text or an unknown role {role!r}")
        if ROLES[role] != ("user", "assistant")[len(turns) % 2]:
            raise BadRow(name, "the turns do not alternate between user and assistant")
        if ROLES[role] == "assistant":
            turns.append({"role": "assistant", "text": text.strip()})
        else:
            turns.append({"role": "user", "task": "vqa", **_placed(text)})
    turns = turns[: len(turns) // 2 * 2]
    if not turns:
        raise BadRow(name, "there is no question with an answer")
    return turns


def _placed(text: str) -> dict[str, Any]:
    """A user's text; with marks in it, as parts that say where the pictures stand."""
    if MARK not in text:
        return {"text": text.strip()}
    parts: list[dict[str, str]] = []
    for number, piece in enumerate(text.split(MARK)):
        parts += [{"type": "image"}] * (number > 0)
        parts += [{"type": "text", "text": piece.strip()}] * bool(piece.strip())
    return {"content": parts}
