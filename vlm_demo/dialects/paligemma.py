"""PaliGemma: task words, and boxes as four location tokens, top left bottom right in 1024ths, before the label."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vlm_demo.dialects.base import Box, Dialect, Size, no_boxes, parse_objects

if TYPE_CHECKING:
    import supervision as sv

    from vlm_demo.detection import Parsed

# PaliGemma finds what it is told to look for; these are looked for when nobody says what.
COMMON = "person ; car ; bicycle ; dog ; cat ; bird ; chair ; table ; bottle ; cup ; book ; plant"
_OBJECT = re.compile(r"((?:<loc\d{4}>)+)([^<;]*)")


def read(text: str, size: Size, seen: Size) -> Parsed:
    """Boxes of an answer such as `<loc0256><loc0128><loc0768><loc0512> cat ; <loc0000>...`."""
    matches = _OBJECT.findall(text)
    if text.strip() and not matches:
        return no_boxes(size)

    def reader(boxes: list[Box]) -> sv.Detections:
        from vlm_demo.detection.library import sv  # slow to import

        written = ("".join(f"<loc{number:04}>" for number in box) + " object" for box in boxes)
        return sv.Detections.from_vlm(sv.VLM.PALIGEMMA, " ; ".join(written), resolution_wh=size)

    records = [(label, [int(number) for number in re.findall(r"\d{4}", tokens)]) for tokens, label in matches]
    return parse_objects(records, size, reader)


PALIGEMMA = Dialect(
    "PaliGemma",
    frozenset({"paligemma"}),
    captions={"brief": "<image>caption en", "detailed": "<image>describe en", "alt text": "<image>cap en"},
    question="<image>answer en {question}",
    detect=f"<image>detect {COMMON}",
    detect_named="<image>detect {names}",
    read=read,
    chat=False,
    max_images=1,
    text_tokens=("<loc",),
)
