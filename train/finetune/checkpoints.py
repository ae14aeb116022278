"""Checkpoints that are whole or not there: written beside, listed with checksums, then moved in place."""

import json
import os
import shutil
import zlib
from pathlib import Path
from typing import Any

MANIFEST = "complete.json"  # every file of a finished checkpoint: name to [size, checksum]


def write_manifest(folder: Path) -> None:
    """Write the list of files with their checksums, last of all."""
    files = {str(path.relative_to(folder)): _sum(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    (folder / MANIFEST).write_text(json.dumps(files))


def verify(folder: Path) -> str | None:
    """What is wrong with a checkpoint; None where every file is as it was written."""
    try:
        files = json.loads((folder / MANIFEST).read_text())
        for name, expected in files.items():
            if _sum(folder / name) != expected:
                return f"{name} is damaged"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, AttributeError) as error:
        return f"it cannot be read ({error})"
    return None


def latest_valid(folder: Path, quiet: bool = False) -> Path | None:
    """The newest checkpoint-STEP in `folder` that is whole; says which ones are passed over and why."""
    newest_first = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1]), reverse=True)
    for path in newest_first:
        wrong = verify(path)
        if wrong is None:
            return path
        if not quiet:
            print(f"{path} is passed over: {wrong}. Going back to the one before it.")
    return None


def move_into_place(partial: Path, target: Path) -> None:
    """Put a finished folder where it belongs, in place of one of the same name."""
    if target.exists():
        shutil.rmtree(target)
    os.replace(partial, target)


def leave_out_code(folder: Path) -> None:
    """Remove the copies of the model's code and what points to them: the code lives in vlm_demo/model, and `push` adds
    it for the Hub."""
    for copy in folder.glob("*.py"):
        copy.unlink()
    for path in folder.glob("*config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(_without(config, "auto_map"), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _without(config: Any, key: str) -> Any:
    """A config without a key, at any depth."""
    if not isinstance(config, dict):
        return config
    return {name: _without(value, key) for name, value in config.items() if name != key}


def _sum(path: Path) -> list[int]:
    size, checksum = 0, 0
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            size, checksum = size + len(block), zlib.crc32(block, checksum)
    return [size, checksum]
