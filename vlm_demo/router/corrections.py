"""What people overruled, kept until the owner of the machine has looked through it."""

import json
import secrets
import threading
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from vlm_demo.router.words import MAX_CHARS
from vlm_demo.tasks import TASKS

MOST = 1000  # corrections that wait to be looked through,
MOST_OF_ONE = 20  # so many of one session,
MOST_OF_ADDRESS = 200  # and so many of one address, from which a whole class may come
_salt = secrets.token_bytes(16)  # a new one at each start: nobody can find out whose hash stands in the file
_writing = threading.Lock()


class CorrectionsFull(Exception):
    """No more corrections are kept just now; the message is for people."""


def record_correction(
    path: str | Path,
    text: str,
    n_images: int,
    tasks: Sequence[str],
    session: str | None = None,
    address: str | None = None,
) -> None:
    """Adds one line `{"text", "n_images", "tasks"}` to a JSONL file, which `python -m train.router.review` reads.

    No tasks means: this asks for nothing. Of `session` and `address` only a hash is kept. Raises ValueError for unknown
    tasks and CorrectionsFull beyond the bounds. The line is written in one piece, so that several threads may record at
    once.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise ValueError(f"Unknown task {', '.join(map(repr, unknown))}: use {', '.join(TASKS)}.")
    entry = {"text": text[:MAX_CHARS], "n_images": int(n_images), "tasks": list(tasks)}
    bounds = {"session": (session, MOST_OF_ONE), "address": (address, MOST_OF_ADDRESS)}
    for name, (value, _) in bounds.items():
        if value:
            entry[name] = blake2b(value.encode(), key=_salt, digest_size=8).hexdigest()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _writing, path.open("a+", encoding="utf-8") as file:
        file.seek(0)
        lines = file.readlines()
        for name, (_, most) in bounds.items():
            if name in entry and sum(f'"{name}": "{entry[name]}"' in line for line in lines) >= most:
                raise CorrectionsFull(
                    "Thank you, these are enough for now. The owner of this machine looks through them."
                )
        if len(lines) >= MOST:
            raise CorrectionsFull("There is no room for more corrections until these have been looked through.")
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
