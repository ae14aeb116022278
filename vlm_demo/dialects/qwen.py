"""Qwen2.5-VL and Qwen3-VL: chats over several images, and boxes as JSON, `{"bbox_2d": [left, top, right, bottom]}`.

Qwen2.5-VL counts in pixels of the image as the model saw it, Qwen3-VL in 1000ths of the image.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vlm_demo.detection.json_repair import read_records
from vlm_demo.dialects.base import CAPTIONS, Box, Dialect, Size, no_boxes, parse_objects

if TYPE_CHECKING:
    import supervision as sv

    from vlm_demo.detection import Parsed

_FORM = 'Answer in JSON: [{"bbox_2d": [x1, y1, x2, y2], "label": "..."}]'


def read_2_5(text: str, size: Size, seen: Size) -> Parsed:
    """Boxes in pixels of an image of the size that the model has `seen`."""

    def reader(boxes: list[Box]) -> sv.Detections:
        from vlm_demo.detection.library import sv  # slow to import

        return sv.Detections.from_vlm(sv.VLM.QWEN_2_5_VL, _json(boxes), input_wh=seen, resolution_wh=size)

    return _read(text, size, reader)


def read_3(text: str, size: Size, seen: Size) -> Parsed:
    """Boxes in 1000ths of the image."""

    def reader(boxes: list[Box]) -> sv.Detections:
        from vlm_demo.detection.library import sv  # slow to import

        return sv.Detections.from_vlm(sv.VLM.QWEN_3_VL, _json(boxes), resolution_wh=size)

    return _read(text, size, reader)


def _read(text: str, size: Size, reader: Any) -> Parsed:
    # Our own reader finds the objects, since supervision's gives up on all of them when one is broken.
    reading = read_records(text)
    records = [record for record in reading.records if "bbox_2d" in record.fields or "label" in record.fields]
    if not records and not reading.bare_empty_list:
        return no_boxes(size)
    whole = [one for one in records if not one.torn or (one.fields.get("label") and one.fields.get("bbox_2d"))]
    pairs = [(record.fields.get("label"), record.fields.get("bbox_2d")) for record in whole]
    parsed = parse_objects(pairs, size, reader)
    parsed.report.dropped += ["cut off"] * (len(records) - len(whole))
    if reading.cut_off and len(whole) == len(records):
        parsed.report.repaired.append("cut off")
    return parsed


def _json(boxes: list[Box]) -> str:
    return json.dumps([{"bbox_2d": box, "label": "object"} for box in boxes])


def _dialect(name: str, model_types: set[str], read: Any, own_pixels: bool) -> Dialect:
    return Dialect(
        name,
        frozenset(model_types),
        CAPTIONS,
        detect=f"Locate every object in this image. {_FORM}",
        detect_named=f"Locate every instance of: {{names}}. {_FORM}",
        read=read,
        own_pixels=own_pixels,
        packages=("torchvision",),
    )


QWEN2_5 = _dialect("Qwen2.5-VL", {"qwen2_5_vl"}, read_2_5, own_pixels=True)
QWEN3 = _dialect("Qwen3-VL", {"qwen3_vl", "qwen3_vl_moe"}, read_3, own_pixels=False)
