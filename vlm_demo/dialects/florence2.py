"""Florence-2: a token for each task; boxes as location tokens behind the label, left top right bottom in 1000ths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vlm_demo.dialects.base import Box, Dialect, Record, Size, no_boxes, parse_objects

if TYPE_CHECKING:
    import supervision as sv

    from vlm_demo.detection import Parsed

_BINS = 1000
_LOCATIONS = re.compile(r"(?:<loc_\d{1,3}>)+")


def read(text: str, size: Size, seen: Size) -> Parsed:
    """Boxes of an answer such as `car<loc_52><loc_332><loc_932><loc_774>door<loc_...>`; a label may have several."""
    matches = list(_LOCATIONS.finditer(text))
    if text.strip() and not matches:
        return no_boxes(size)

    def reader(boxes: list[Box]) -> sv.Detections:
        from vlm_demo.detection.library import sv  # slow to import

        # A location is the middle of its bin.
        pixels = [
            [(number + 0.5) * side / _BINS for number, side in zip(box, (*size, *size), strict=True)] for box in boxes
        ]
        answer = {"<OD>": {"bboxes": pixels, "labels": ["object"] * len(pixels)}}
        return sv.Detections.from_vlm(sv.VLM.FLORENCE_2, answer, resolution_wh=size)

    records: list[Record] = []
    end = 0
    for match in matches:
        label, end = text[end : match.start()], match.end()
        numbers = [int(number) for number in re.findall(r"\d+", match[0])]
        records += [(label, numbers[start : start + 4]) for start in range(0, len(numbers), 4)]
    return parse_objects(records, size, reader)


FLORENCE2 = Dialect(
    "Florence-2",
    frozenset({"florence2"}),
    captions={"brief": "<CAPTION>", "detailed": "<MORE_DETAILED_CAPTION>", "alt text": "<DETAILED_CAPTION>"},
    question=None,
    detect="<OD>",
    detect_named="<OPEN_VOCABULARY_DETECTION>{names}",
    read=read,
    chat=False,
    max_images=1,
    text_tokens=("<loc_",),
)
