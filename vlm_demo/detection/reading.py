"""Reads what a model says about objects: its text, to boxes and a report.

The text is JSON, ``{"objects": [{"label": "dog", "bbox": [x, y, w, h]}]}``: the box's top left corner and its size, as
fractions of the image. Reading is tolerant and never guesses in silence: what was repaired or dropped is reported.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from vlm_demo.detection import formats
from vlm_demo.detection.json_repair import Reading, Record, read_records
from vlm_demo.detection.matching import iou

if TYPE_CHECKING:
    import supervision as sv

MAX_OBJECTS = 200  # of one answer; more is a model that repeats itself
SAME_BOX = 0.95  # IoU from which two boxes of one label are one box


@dataclass
class Report:
    """What reading an answer came to; `str()` says it in words for people."""

    read: int = 0
    repaired: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    failed: bool = False

    def __str__(self) -> str:
        if self.failed:
            return "The answer is not a list of boxes"
        parts = ["Nothing found" if not (self.read or self.dropped) else f"{self.read} read"]
        for verb, reasons in (("repaired", self.repaired), ("dropped", self.dropped)):
            if reasons:
                words = [f"{why} ×{n}" if n > 1 else why for why, n in Counter(reasons).items()]
                parts.append(f"{len(reasons)} {verb} ({', '.join(words)})")
        return ", ".join(parts)


@dataclass
class Parsed:
    """The objects of one answer about an image of `size` (width, height).

    `objects` are plain: ``{"label": str, "bbox": [x, y, w, h] as fractions, "image": int | None, "confidence":
    float | None}`` in the model's order; `image` counts from 1 and says which of several images is meant.
    `labels` are the distinct labels in order of appearance; filtering keeps them, so that colours stay.
    """

    objects: list[dict]
    labels: list[str]
    size: tuple[int, int]
    report: Report

    @property
    def failed(self) -> bool:
        """True when the text was no detection answer at all (an empty list of objects is one)."""
        return self.report.failed

    @property
    def detections(self) -> sv.Detections:
        """The boxes in pixels, within the image; `class_id` counts along `labels`; confidence only if known."""
        from vlm_demo.detection.library import sv  # slow, and needed only to draw and to measure

        names = [item["label"] for item in self.objects]
        boxes = [formats.to_pixels(item["bbox"], self.size) for item in self.objects]
        known = bool(names) and all(item["confidence"] is not None for item in self.objects)
        return sv.Detections(
            xyxy=np.array(boxes, np.float32).reshape(-1, 4),
            class_id=np.array([self.labels.index(name) for name in names], int),
            confidence=np.array([item["confidence"] for item in self.objects], np.float32) if known else None,
            data={"class_name": np.array(names, dtype=str)},
        )

    def only(self, labels: Collection[str]) -> Parsed:
        """The objects that carry one of `labels`."""
        return replace(self, objects=[item for item in self.objects if item["label"] in labels])

    def above(self, threshold: float) -> Parsed:
        """The objects of which the model is so sure, or says nothing of that."""
        return replace(
            self, objects=[o for o in self.objects if o["confidence"] is None or o["confidence"] >= threshold]
        )

    def of_size(self, size: tuple[int, int]) -> Parsed:
        """The same objects on the same image in another size."""
        return replace(self, size=size)

    def of_image(self, number: int, size: tuple[int, int]) -> Parsed:
        """The objects of image `number` (from 1) of several, which has `size`; an object that names no image
        belongs to every one."""
        return replace(self, objects=[item for item in self.objects if item["image"] in (None, number)], size=size)


def parse(text: str, size: tuple[int, int], token_probs: Sequence[tuple[str, float]] | None = None) -> Parsed:
    """Read a model's answer about an image of `size` (width, height). Never raises, whatever the text.

    `token_probs` are the tokens' texts, which together are `text`, with their probabilities: an object's confidence
    is the product over the tokens that touch its label.
    """
    reading = read_records(text)
    report = Report(failed=not any(_is_object(record) or "objects" in record.fields for record in reading.records))
    if reading.bare_empty_list and "text around the JSON" not in reading.notes:
        report.failed = False
    objects: list[dict] = []
    if not report.failed:
        report.repaired += reading.notes
        tokens = _token_places(text, token_probs)
        for record in reading.records:
            if _is_object(record):
                _take(record, size, tokens, objects, report)
        if reading.cut_off and "cut off" not in report.dropped:
            (report.repaired if objects or _says_empty(reading) else report.dropped).append("cut off")
    report.read = len(objects)
    return Parsed(objects, list(dict.fromkeys(item["label"] for item in objects)), size, report)


def parse_written(text: str, size: tuple[int, int]) -> Parsed:
    """The objects that are complete in an answer which is still being written."""
    return parse(text[: text.rfind("}") + 1], size)


def _is_object(record: Record) -> bool:
    """Whether a record means to be an object, rather than what holds the objects, or something else altogether."""
    return isinstance(record.fields.get("bbox"), list) or (
        not record.holder and ("bbox" in record.fields or "label" in record.fields)
    )


def _says_empty(reading: Reading) -> bool:
    return any(record.fields.get("objects") == [] for record in reading.records)


def _take(record: Record, size: tuple[int, int], tokens: list | None, objects: list[dict], report: Report) -> None:
    """Add what a record says to `objects`, or the reason why not to the report."""
    repairs: list[str] = []
    try:
        if len(objects) >= MAX_OBJECTS:
            raise formats.Dropped(f"more than {MAX_OBJECTS}")
        if record.torn and not (record.fields.get("label") and record.fields.get("bbox")):
            raise formats.Dropped("cut off")
        item = {
            "label": formats.read_label(record.fields.get("label"), repairs),
            "bbox": formats.read_box(record.fields.get("bbox"), size, repairs),
            "image": formats.read_image_number(record.fields.get("image")),
            "confidence": _confidence(record.spans.get("label"), tokens),
        }
        if any(_is_same(item, other) for other in objects):
            raise formats.Dropped("duplicate")
    except formats.Dropped as why:
        report.dropped.append(str(why))
    else:
        objects.append(item)
        report.repaired += dict.fromkeys(repairs)


def _is_same(one: dict, other: dict) -> bool:
    if one["label"] != other["label"] or one["image"] != other["image"]:
        return False
    return iou(one["bbox"], other["bbox"]) > SAME_BOX


def _token_places(text: str, token_probs: Sequence[tuple[str, float]] | None) -> list[tuple[int, int, float]] | None:
    """(start, end, probability) of each token within `text`; None when the tokens do not spell the text."""
    if token_probs is None:
        return None
    start = -"".join(token for token, _ in token_probs).find(text)  # the text may have been stripped
    if start > 0:
        return None
    places = []
    for token, probability in token_probs:
        places.append((start, start + len(token), min(max(float(probability), 0.0), 1.0)))
        start += len(token)
    return places


def _confidence(label: tuple[int, int] | None, tokens: list[tuple[int, int, float]] | None) -> float | None:
    if label is None or tokens is None:
        return None
    return math.prod(probability for start, end, probability in tokens if start < label[1] and end > label[0])
