"""Images with boxes in the columns of the Hub's detection sets: `objects` {`bbox` pixel xywh, `category`}."""

import math
import random
from io import BytesIO
from typing import Any

from datasets import ClassLabel, Dataset
from PIL import Image

from vlm_demo.detection.formats import write_objects

from .base import InvalidRow, LazyExample, Source, SourceError, chat, stored_image

# The first is how the page asks.
PROMPTS = ("", "Find every object.", "What objects are there, and where?")
MIN_SIDE = 0.001  # of the image: a thinner box is written as 0.000


class Detection(Source):
    """All objects of an image as JSON, from left to right."""

    def __init__(self, rows: Dataset, name: str, seed: int = 0) -> None:
        super().__init__(name)
        self.rows, self.seed = rows, seed
        category = rows.features["objects"]
        category = getattr(category, "feature", category)["category"]  # a list of objects, or an object of lists
        category = getattr(category, "feature", category)
        self.labels: list[str] | None = category.names if isinstance(category, ClassLabel) else None
        if self.labels is None and getattr(category, "dtype", "") != "string":
            raise SourceError(f"{name}: the categories are numbers without names. Cast the column to ClassLabel first.")

    def __len__(self) -> int:
        return len(self.rows)

    def lazy_example(self, index: int, epoch: int = 0) -> LazyExample:
        row, name = self.rows[index], self.row_name(index)
        image = stored_image(row.get("image"), name)
        objects = self._objects(row, name)
        prompt = random.Random(f"{self.seed} {epoch} {index}").choice(PROMPTS)
        reference = {"labels": [item["label"] for item in objects], "boxes": [item["bbox"] for item in objects]}
        return LazyExample("detect", (image,), chat("detect", prompt, write_objects(objects)), reference, name)

    def _objects(self, row: dict[str, Any], name: str) -> list[dict[str, Any]]:
        """The row's objects with boxes as fractions, clipped to the image; raises InvalidRow on what makes no sense."""
        objects = row.get("objects")
        if isinstance(objects, list):  # a list of objects is turned into an object of lists
            objects = {key: [item[key] for item in objects] for key in ("bbox", "category")}
        boxes, categories = ((objects or {}).get(key) for key in ("bbox", "category"))
        if boxes is None or categories is None or len(boxes) != len(categories):
            raise InvalidRow(name, "boxes and categories do not belong together")
        width, height = _size(row, name)
        valid = []
        for number, (box, category) in enumerate(zip(boxes, categories, strict=True), 1):
            if box is None or len(box) != 4 or not all(isinstance(v, int | float) and math.isfinite(v) for v in box):
                raise InvalidRow(name, f"box {number} is not four numbers")
            left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
            left, right = (min(max(x / width, 0.0), 1.0) for x in (left, right))
            top, bottom = (min(max(y / height, 0.0), 1.0) for y in (top, bottom))
            label = self._label(category, name)
            if min(right - left, bottom - top) < MIN_SIDE:
                self.invalid_rows[f"{name} box {number}"] = "the box has no area inside the image"
                continue
            valid.append({"label": label, "bbox": [left, top, right - left, bottom - top]})
        return sorted(valid, key=lambda item: item["bbox"][0] + item["bbox"][2] / 2)

    def _label(self, category: Any, name: str) -> str:
        if self.labels is not None and isinstance(category, int) and 0 <= category < len(self.labels):
            return self.labels[category]
        if self.labels is None and isinstance(category, str) and category.strip():
            return category.strip()
        raise InvalidRow(name, f"there is no category {category!r}")


def _size(row: dict[str, Any], name: str) -> tuple[int, int]:
    """Width and height in pixels that the boxes count in: of the row, or of the image as it is stored."""
    if row.get("width") and row.get("height"):
        return row["width"], row["height"]
    try:
        with Image.open(BytesIO(row["image"]["bytes"]) if row["image"].get("bytes") else row["image"]["path"]) as image:
            return image.size
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise InvalidRow(name, "the image is damaged") from error
