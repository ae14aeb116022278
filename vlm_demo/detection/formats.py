"""How objects stand in a model's text, ``{"label": "dog", "bbox": [x, y, w, h]}``: writing them, and reading one.

A reader returns what can be used, adds to `repairs` what it had to mend, or raises `Dropped` with the reason.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from vlm_demo.detection.json_repair import Value

MAX_LABEL = 60  # characters
EDGE = 0.005  # overshoot that is rounding, not an error: a box of three decimals may end at 1.001
NO_SIDE = 1e-4  # of the image: a side shorter than this is no box
_NUMBER = re.compile(r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s?(%|px)?")


class Dropped(Exception):
    """An object cannot be used; the message is the reason, for the report."""


def write_objects(objects: Sequence[Mapping[str, Any]]) -> str:
    """Objects {"label", "bbox", ...} in the models' own language: boxes last, with three decimals."""
    entries = []
    for item in objects:
        head = json.dumps({key: value for key, value in item.items() if key != "bbox"}, ensure_ascii=False)
        entries.append(head[:-1] + ', "bbox": [' + ", ".join(f"{float(v):.3f}" for v in item["bbox"]) + "]}")
    return '{"objects": [' + ", ".join(entries) + "]}"


def to_pixels(box: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """[x, y, w, h] as fractions -> (left, top, right, bottom) in pixels of an image of `size`."""
    (x, y, w, h), (width, height) = box, size
    return x * width, y * height, min((x + w) * width, width), min((y + h) * height, height)


def read_label(value: Value, repairs: list[str]) -> str:
    if not isinstance(value, str):
        raise Dropped("no label")
    printable = (" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in value)
    label = " ".join("".join(printable).split())
    if not label:
        raise Dropped("no label")
    if len(label) > MAX_LABEL:
        repairs.append("long label")
        label = label[: MAX_LABEL - 1] + "…"
    return label


def read_box(value: Value, size: tuple[int, int], repairs: list[str]) -> list[float]:
    """The box as [x, y, w, h] within the unit square."""
    if not isinstance(value, list):
        raise Dropped("no box")
    if len(value) != 4:
        raise Dropped(f"{len(value)} number{'s' * (len(value) != 1)}")
    x, y, w, h = (_number(item, side, repairs) for item, side in zip(value, (*size, *size), strict=True))
    if not all(-0.5 <= number <= 1.5 for number in (x, y, w, h)):  # pixels? percent? thousandths? Nothing says which
        raise Dropped("not between 0 and 1")
    if w < 0 or h < 0:
        raise Dropped("negative size")
    if min(w, h) < NO_SIDE:
        raise Dropped("no area")
    left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + w, 1.0), min(y + h, 1.0)
    if min(right - left, bottom - top) < NO_SIDE:
        raise Dropped("outside the image")
    if (right - left) * (bottom - top) < 0.5 * w * h:
        raise Dropped("mostly outside the image")
    if max(left - x, top - y, x + w - right, y + h - bottom) > EDGE:
        repairs.append("clipped")
    # An untouched side stays as it was written: 0.3, not 0.30000000000000004.
    inside = x == left and x + w == right, y == top and y + h == bottom
    return [left, top, w if inside[0] else right - left, h if inside[1] else bottom - top]


def _number(value: Value, side: int, repairs: list[str]) -> float:
    """One of a box's numbers as a fraction of the image's `side` in pixels; only a written unit rescales it."""
    unit = ""
    if isinstance(value, str):
        number = _NUMBER.fullmatch(value.strip()[:40])
        if number is None:
            raise Dropped("not a number")
        unit = number[2] or ""
        value = float(number[1])
        repairs.append({"%": "percent", "px": "pixels", "": "numbers as text"}[unit])
    if not isinstance(value, float) or not math.isfinite(value):
        raise Dropped("not a number")
    return value / {"%": 100, "px": side, "": 1}[unit]


def read_image_number(value: Value) -> int | None:
    """Which of several images is meant, from 1, or None when nothing sensible is said."""
    if isinstance(value, str) and value.strip() in tuple("12345678"):
        value = float(value)
    return int(value) if isinstance(value, float) and value in range(1, 9) else None
