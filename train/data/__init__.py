"""Training data: one file a kind of source, all of which give `Example`; `open_source` finds the kind by columns."""

from pathlib import Path

from .base import Example, InvalidRow, LazyExample, LazyImage, Source, SourceError
from .captions import Captions
from .conversations import Conversations, read_conversations
from .detection import Detection
from .icons import IconScenes
from .rows import open_rows
from .several import Several
from .vqa import Questions

ICONS = 2000  # scenes, where nobody says how many


def open_source(
    name: str,
    task: str | None = None,
    split: str = "train",
    samples: int | None = None,
    streaming: bool = False,
    seed: int = 0,
) -> Source:
    """A source of training or evaluation data.

    Args:
        name: A Hub name, a folder with parquet files, a .parquet, .json or .jsonl file, or "icons" for icon scenes.
        task: What to make of the rows; None takes what the columns say, and of icon scenes every task. Captioned
            images serve "caption" and "compare".
        split: "train", "validation" or "test".
        samples: Use the first so many rows; None takes all.
        streaming: Fetch only those rows.
        seed: Of random choices, such as which of five captions is taken.

    Raises:
        SourceError: There is no such data, or it does not serve the task; says what to do.
    """
    if name == "icons":
        return IconScenes(samples or ICONS, task, split)
    label = f"{Path(name).stem if Path(name).exists() else name}/{split}"
    path = Path(name)
    if path.is_file() and path.suffix in (".json", ".jsonl"):
        return Conversations(read_conversations(path)[:samples], label, path.parent)
    rows = open_rows(name, split, samples, streaming)
    columns = set(rows.column_names)
    if columns & {"conversations", "messages"}:
        return Conversations(rows, label, path)
    captioned = any(column == "caption" or column.startswith("caption_") for column in columns)
    kind = "detect" if "objects" in columns else "vqa" if "question" in columns else "caption" if captioned else None
    if captioned and task == "compare":
        return Several(rows, label, seed)
    if kind is None or task not in (None, kind):
        raise SourceError(
            f"{name} does not serve the task {task or 'of any kind'}: its columns are {', '.join(sorted(columns))}. "
            "Captions want caption or caption_0 ..., detection objects, questions question and answers."
        )
    if kind == "detect":
        return Detection(rows, label, seed)
    return Questions(rows, label) if kind == "vqa" else Captions(rows, label, seed)


__all__ = ["Example", "InvalidRow", "LazyExample", "LazyImage", "Source", "SourceError", "open_rows", "open_source"]
