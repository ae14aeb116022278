"""Our own MiniVLM where it runs behind a server: the tags of its layout, and boxes as its JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlm_demo.dialects.base import Dialect, Size
from vlm_demo.tasks import TASKS

if TYPE_CHECKING:
    from vlm_demo.detection import Parsed

CAPTION, DETECT, COMPARE = (TASKS[name].tag for name in ("caption", "detect", "compare"))


def read(text: str, size: Size, seen: Size) -> Parsed:
    """Boxes of an answer such as `{"objects": [{"label": "dog", "bbox": [0.1, 0.2, 0.3, 0.4]}]}`."""
    from vlm_demo.detection import parse

    return parse(text, size)


MINIVLM = Dialect(
    "MiniVLM",
    frozenset({"minivlm"}),
    captions={style: f"{CAPTION} {style}" for style in TASKS["caption"].prompts.values()},
    comparison=f"{COMPARE} {{question}}",
    detect=DETECT,
    detect_named=f"{DETECT} {{names}}",
    read=read,
)
