"""What a model says about objects, as boxes: reading its text, drawing, and exporting.

The text is JSON, ``{"objects": [{"label": "dog", "bbox": [x, y, w, h]}]}``: the box's top left corner and its size, as
fractions of the picture. Reading is tolerant and never guesses in silence: what was repaired or dropped is reported.
"""

import colorsys
import csv
import io
import json
import math
import unicodedata
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from vlm_demo import boxes
from vlm_demo.loose_json import Reading, Record, read_records

with warnings.catch_warnings():  # it announces that it works without OpenCV, which is what we want
    warnings.simplefilter("ignore", UserWarning)
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
    """The objects of one answer about a picture of `size` (width, height).

    `objects` are plain: ``{"label": str, "bbox": [x, y, w, h] as fractions, "image": int | None, "confidence":
    float | None}`` in the model's order; `image` counts from 1 and says which of several pictures is meant.
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
        """The boxes in pixels, within the picture; `class_id` counts along `labels`; confidence only if known."""
        names = [item["label"] for item in self.objects]
        known = bool(names) and all(item["confidence"] is not None for item in self.objects)
        return sv.Detections(
            xyxy=np.array([_pixels(item["bbox"], self.size) for item in self.objects], np.float32).reshape(-1, 4),
            class_id=np.array([self.labels.index(name) for name in names], int),
            confidence=np.array([item["confidence"] for item in self.objects], np.float32) if known else None,
            data={"class_name": np.array(names, dtype=str)},
        )

    def only(self, labels: Collection[str]) -> "Parsed":
        """The objects that carry one of `labels`."""
        return self._with([item for item in self.objects if item["label"] in labels], self.size)

    def of_size(self, size: tuple[int, int]) -> "Parsed":
        """The same objects on the same picture in another size."""
        return self._with(self.objects, size)

    def of_image(self, number: int, size: tuple[int, int]) -> "Parsed":
        """The objects of picture `number` (from 1) of several, which has `size`; an object that names no picture
        belongs to every one."""
        return self._with([item for item in self.objects if item["image"] in (None, number)], size)

    def _with(self, objects: list[dict], size: tuple[int, int]) -> "Parsed":
        return Parsed(objects, self.labels, size, self.report)


def parse(text: str, size: tuple[int, int], token_probs: Sequence[tuple[str, float]] | None = None) -> Parsed:
    """Read a model's answer about a picture of `size` (width, height). Never raises, whatever the text.

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
            raise boxes.Dropped(f"more than {MAX_OBJECTS}")
        if record.torn and not (record.fields.get("label") and record.fields.get("bbox")):
            raise boxes.Dropped("cut off")
        item = {
            "label": boxes.read_label(record.fields.get("label"), repairs),
            "bbox": boxes.read_box(record.fields.get("bbox"), size, repairs),
            "image": boxes.read_image_number(record.fields.get("image")),
            "confidence": _confidence(record.spans.get("label"), tokens),
        }
        if any(_is_same(item, other) for other in objects):
            raise boxes.Dropped("duplicate")
    except boxes.Dropped as why:
        report.dropped.append(str(why))
    else:
        objects.append(item)
        report.repaired += dict.fromkeys(repairs)


def _is_same(one: dict, other: dict) -> bool:
    if one["label"] != other["label"] or one["image"] != other["image"]:
        return False
    (ax, ay, aw, ah), (bx, by, bw, bh) = one["bbox"], other["bbox"]
    both = max(min(ax + aw, bx + bw) - max(ax, bx), 0) * max(min(ay + ah, by + bh) - max(ay, by), 0)
    return both > SAME_BOX * (aw * ah + bw * bh - both)


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


def pixels(item: dict, size: tuple[int, int]) -> list[float]:
    """An object's box as [x, y, w, h] in pixels of a picture of `size`, to the hundredth."""
    left, top, right, bottom = _pixels(item["bbox"], size)
    return [round(value, 2) for value in (left, top, right - left, bottom - top)]


def _pixels(box: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """[x, y, w, h] as fractions -> (left, top, right, bottom) in pixels of a picture of `size`."""
    (x, y, w, h), (width, height) = box, size
    return x * width, y * height, min((x + w) * width, width), min((y + h) * height, height)


# Strong colours that differ from each other for most eyes, and keep apart from the picture by their white edge.
COLOURS = ("#e6194b", "#4363d8", "#3cb44b", "#f58231", "#911eb4", "#008080", "#f032e6", "#9a6324", "#ffe119", "#42d4f4")


def annotate(image: Image.Image, parsed: Parsed, labels: Collection[str] | None = None) -> Image.Image:
    """A copy of `image` with the boxes of `parsed` drawn on it; `labels` limits them to some labels.

    The image may have another size than `parsed.size` (the boxes are fractions); lines and words grow with it.
    """
    shown = parsed._with(parsed.objects if labels is None else parsed.only(labels).objects, image.size)
    found = shown.detections
    canvas = image.convert("RGB")
    if not len(found):
        return canvas
    found.xyxy = np.round(found.xyxy).clip(0, np.array([image.width - 1, image.height - 1] * 2))
    palette = sv.ColorPalette.from_hex([_colour(i) for i in range(len(parsed.labels))])
    ink = sv.ColorPalette([_ink(colour) for colour in palette.colors])
    line = max(2, round(max(image.size) / 250))
    text = max(11, round(max(image.size) / 45))
    for annotator in (
        sv.BoxAnnotator(sv.Color.WHITE, thickness=line + max(2, line // 2) * 2),
        sv.BoxAnnotator(palette, thickness=line),
    ):
        canvas = annotator.annotate(canvas, found)
    words = [_plain(item["label"]) + _percent(item["confidence"]) for item in shown.objects]
    return sv.RichLabelAnnotator(
        palette, text_color=ink, font_size=text, text_padding=max(3, text // 4), smart_position=True
    ).annotate(canvas, found, words)


def _colour(index: int) -> str:
    """The colour of label `index`: a chosen one, then hues spread by the golden angle."""
    if index < len(COLOURS):
        return COLOURS[index]
    red, green, blue = colorsys.hls_to_rgb(index * 0.618 % 1, 0.35 + 0.3 * (index % 2), 0.9)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _ink(colour: sv.Color) -> sv.Color:
    """Black or white, whichever reads better on `colour` (by its luma, ITU-R BT.601)."""
    luma = 0.299 * colour.r + 0.587 * colour.g + 0.114 * colour.b
    return sv.Color.BLACK if luma > 150 else sv.Color.WHITE


def _plain(label: str) -> str:
    """The label without accents, which the font that Pillow brings does not have."""
    return "".join(char for char in unicodedata.normalize("NFKD", label) if not unicodedata.combining(char))


def _percent(confidence: float | None) -> str:
    return "" if confidence is None else f" {confidence:.0%}"


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
    """One picture in COCO's form: boxes [x, y, w, h] in pixels, `score` if known; ids count from 1, along `classes`."""
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
    """A table with a line an object: label, confidence, picture number, and the box in pixels and in fractions."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow("label confidence image left top right bottom x y width height".split())
    for item in parsed.objects:
        confidence = "" if item["confidence"] is None else round(item["confidence"], 4)
        pixels = [round(value, 1) for value in _pixels(item["bbox"], parsed.size)]
        fractions = [round(value, 6) for value in item["bbox"]]
        table.writerow([item["label"], confidence, item["image"] or "", *pixels, *fractions])
    return buffer.getvalue()
