"""What people overruled, kept until the owner of the machine has looked through it."""

import json
import threading
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from vlm_demo.router.words import MAX_CHARS
from vlm_demo.tasks import TASKS

MOST = 1000  # corrections that wait to be looked through,
MOST_OF_ONE = 20  # and so many of one session
_writing = threading.Lock()


class CorrectionsFull(Exception):
    """No more corrections are kept just now; the message is for people."""


def record_correction(
    path: str | Path, text: str, n_images: int, tasks: Sequence[str], session: str | None = None
) -> None:
    """Adds one line `{"text", "n_images", "tasks"}` to a JSONL file, which `python -m train.router.review` reads.

    No tasks means: this asks for nothing. Of the `session` only a hash is kept. Raises ValueError for unknown tasks and
    CorrectionsFull beyond the bounds. The line is written in one piece, so that several threads may record at once.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise ValueError(f"Unknown task {', '.join(map(repr, unknown))}: use {', '.join(TASKS)}.")
    entry = {"text": text[:MAX_CHARS], "n_images": int(n_images), "tasks": list(tasks)}
    if session is not None:
        entry["session"] = blake2b(session.encode(), digest_size=8).hexdigest()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _writing, path.open("a+", encoding="utf-8") as file:
        file.seek(0)
        lines = file.readlines()
        own = sum(f'"session": "{entry["session"]}"' in line for line in lines) if session is not None else 0
        if own >= MOST_OF_ONE:
            raise CorrectionsFull("Thank you, these are enough for now. The owner of this machine looks through them.")
        if len(lines) >= MOST:
            raise CorrectionsFull("There is no room for more corrections until these have been looked through.")
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
