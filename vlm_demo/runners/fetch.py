"""Brings a model from the Hub, in a process of its own that can be ended at any moment. That process runs this file:

python -m vlm_demo.runners.fetch SOURCE REVISION FILE ...
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

from vlm_demo.results import EngineError
from vlm_demo.runners.needs import Needs, hub_cache
from vlm_demo.runners.trouble import explain_source

LOOK = 0.3  # seconds between two looks at how much has come


class Cancelled(Exception):
    """Somebody wants the model no more."""


def fetch(needs: Needs, progress: Callable[[int], None], cancelled: Event) -> Path:
    """The folder of a model from the Hub, whose missing files are brought here first.

    Args:
        progress: Told how many bytes have come, every now and then.
        cancelled: When this is set, the download ends within a moment; whole files stay for the next time.

    Raises:
        Cancelled: It was.
        EngineError: What went wrong, in words.
    """
    blobs = hub_cache() / f"models--{needs.source.replace('/', '--')}" / "blobs"
    before = _bytes(blobs)
    command = [sys.executable, "-m", __name__, needs.source, needs.revision or "main", *needs.files]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        while process.poll() is None:
            if cancelled.wait(LOOK):
                raise Cancelled
            progress(min(needs.download, _bytes(blobs) - before))
        end = json.loads(process.stdout.read() or "{}")
    finally:
        process.kill()
        process.communicate()
        if cancelled.is_set():
            _forget_parts(blobs)
    if "folder" not in end:
        raise EngineError(end.get("error") or f"The download of {needs.source} broke off. Please try again.")
    return Path(end["folder"])


def _bytes(blobs: Path) -> int:
    """What has come, parts of files included."""
    total = 0
    for file in blobs.iterdir() if blobs.is_dir() else ():
        with suppress(FileNotFoundError):  # a part has become whole meanwhile
            total += file.stat().st_size
    return total


def _forget_parts(blobs: Path) -> None:
    """Parts of files are not taken up again."""
    for part in blobs.glob("*.incomplete"):
        part.unlink(missing_ok=True)


def main() -> None:
    """Bring some files; prints the folder in which they are, or what went wrong, as JSON."""
    source, revision, *files = sys.argv[1:]
    try:
        from huggingface_hub import hf_hub_download

        folder = {Path(hf_hub_download(source, file, revision=revision)).parent for file in files}.pop()
        print(json.dumps({"folder": str(folder)}))
    except Exception as error:
        print(json.dumps({"error": str(explain_source(error, source))}))


if __name__ == "__main__":
    main()
