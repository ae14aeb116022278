"""What people overruled, kept so that the router can learn from it."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

from vlm_demo.router.words import MAX_CHARS
from vlm_demo.tasks import TASKS

_writing = threading.Lock()


def record_correction(path: str | Path, text: str, n_images: int, tasks: Sequence[str]) -> None:
    """Adds one line `{"text", "n_images", "tasks"}` to a JSONL file that `python -m train.router` reads.

    No tasks means: this asks for nothing. Raises ValueError for unknown tasks. The line is written in one piece, so
    that several threads may record at once.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise ValueError(f"Unknown task {', '.join(map(repr, unknown))}: use {', '.join(TASKS)}.")
    line = json.dumps({"text": text[:MAX_CHARS], "n_images": int(n_images), "tasks": list(tasks)}, ensure_ascii=False)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _writing, path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
