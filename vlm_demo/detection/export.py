"""Writes boxes for other programs: JSON, COCO, YOLO, CSV."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from vlm_demo.detection import formats
from vlm_demo.detection.reading import Parsed


def pixels(item: dict, size: tuple[int, int]) -> list[float]:
    """An object's box as [x, y, w, h] in pixels of an image of `size`, to the hundredth."""
    left, top, right, bottom = formats.to_pixels(item["bbox"], size)
    return [round(value, 2) for value in (left, top, right - left, bottom - top)]


def to_json(parsed: Parsed, **about: Any) -> str:
    """The objects in the model's own form, with what is known beside label and box; `about` stands before them."""
    objects = [
        {key: value for key, value in item.items() if value is not None}
        | {"bbox": [round(n, 6) for n in item["bbox"]], "pixels": pixels(item, parsed.size)}
        for item in parsed.objects
    ]
    width, height = parsed.size
    return json.dumps({**about, "width": width, "height": height, "objects": objects}, ensure_ascii=False, indent=2)


def to_coco(parsed: Parsed, file_name: str, classes: Sequence[str]) -> dict:
    """One image in COCO's form: boxes [x, y, w, h] in pixels, `score` if known; ids count from 1, along `classes`."""
    annotations = []
    for number, item in enumerate(parsed.objects, start=1):
        box = pixels(item, parsed.size)
        annotation = {"id": number, "image_id": 1, "category_id": classes.index(item["label"]) + 1, "bbox": box}
        annotation |= {"area": round(box[2] * box[3], 2), "iscrowd": 0, "segmentation": []}
        annotations.append(annotation | ({} if item["confidence"] is None else {"score": item["confidence"]}))
    width, height = parsed.size
    return {
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
        "annotations": annotations,
        "categories": [{"id": number, "name": label} for number, label in enumerate(classes, start=1)],
    }


def to_yolo(parsed: Parsed, classes: Sequence[str]) -> str:
    """A line ``class x_centre y_centre width height`` an object, in fractions; `class` counts along `classes`."""
    lines = []
    for item in parsed.objects:
        x, y, w, h = item["bbox"]
        numbers = " ".join(f"{number:.6f}" for number in (x + w / 2, y + h / 2, w, h))
        lines.append(f"{classes.index(item['label'])} {numbers}\n")
    return "".join(lines)


def to_csv(parsed: Parsed) -> str:
    """A table with a line an object: label, confidence, image number, and the box in pixels and in fractions."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow("label confidence image left top right bottom x y width height".split())
    for item in parsed.objects:
        confidence = "" if item["confidence"] is None else round(item["confidence"], 4)
        corners = [round(value, 1) for value in formats.to_pixels(item["bbox"], parsed.size)]
        fractions = [round(value, 6) for value in item["bbox"]]
        table.writerow([item["label"], confidence, item["image"] or "", *corners, *fractions])
    return buffer.getvalue()
