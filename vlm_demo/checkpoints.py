"""Where the bundled checkpoints lie: beside the package in a clone or a Space, else where pip put the data files."""

from importlib import metadata
from pathlib import Path


def bundled(name: str) -> Path:
    """The folder of a bundled checkpoint, such as "router"."""
    clone = Path(__file__).parents[1] / "checkpoints" / name
    if clone.is_dir():
        return clone
    try:
        files = metadata.files("vlm-demo") or []
    except metadata.PackageNotFoundError:  # nothing but the code was copied
        files = []
    folders = (Path(file.locate()).resolve().parent for file in files if file.parts[-3:-1] == ("checkpoints", name))
    return next(folders, clone)
