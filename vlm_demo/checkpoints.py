"""Where the bundled checkpoints lie: beside the package in a clone or a Space, else where pip put the data files."""

import sysconfig
from pathlib import Path


def bundled(name: str) -> Path:
    """The folder of a bundled checkpoint, such as "router"."""
    clone = Path(__file__).parents[1] / "checkpoints"
    installed = Path(sysconfig.get_path("data")) / "share" / "vlm-demo" / "checkpoints"
    return (clone if clone.is_dir() else installed) / name
