"""Texts about a dog and a cat, and what holds for everything that is read from any text."""

import json

import numpy as np

from vlm_demo.detection import Parsed, reading

SIZE = (200, 100)
DOG = '{"label": "dog", "bbox": [0.100, 0.200, 0.300, 0.400]}'
CAT = '{"label": "cat", "bbox": [0.500, 0.500, 0.200, 0.250]}'
DOG_BOX, CAT_BOX = [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.2, 0.25]


def answer(*objects: str) -> str:
    return '{"objects": [' + ", ".join(objects) + "]}"


def named(label: str, *numbers: object) -> str:
    return json.dumps({"label": label, "bbox": numbers})


def labelled_boxes(parsed: Parsed) -> list[tuple[str, list[float]]]:
    return [(item["label"], item["bbox"]) for item in parsed.objects]


def assert_sound(parsed: Parsed) -> None:
    """What holds for any text whatever: boxes inside the picture, counts that agree, words that can be shown."""
    boxes = parsed.detections.xyxy
    width, height = parsed.size
    assert boxes.shape == (len(parsed.objects), 4) and np.isfinite(boxes).all()
    assert (boxes >= 0).all() and (boxes[:, [0, 2]] <= width).all() and (boxes[:, [1, 3]] <= height).all()
    assert (boxes[:, 2] > boxes[:, 0]).all() and (boxes[:, 3] > boxes[:, 1]).all()
    for item in parsed.objects:
        x, y, w, h = item["bbox"]
        assert 0 <= x < x + w <= 1 and 0 <= y < y + h <= 1
        assert item["label"] == item["label"].strip() and 0 < len(item["label"]) <= 60
        item["label"].encode()
        assert item["image"] is None or 1 <= item["image"] <= 8
    assert parsed.report.read == len(parsed.objects) <= reading.MAX_OBJECTS
    assert set(parsed.labels) == {item["label"] for item in parsed.objects}
    assert not (parsed.failed and parsed.objects)
    assert str(parsed.report).isprintable()


WHOLE = answer(DOG, CAT)
