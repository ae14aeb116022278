"""Detections as an image and as files."""

import csv
import io
import json

import pytest
from PIL import Image

from tests.detections import CAT, DOG, DOG_BOX, SIZE, answer, labelled_boxes, named
from vlm_demo.detection import Parsed, parse, to_coco, to_csv, to_json, to_yolo
from vlm_demo.detection.drawing import annotate


@pytest.mark.parametrize("side", [64, 512, 2000])
def test_boxes_are_drawn_where_they_are(side):
    image = Image.new("RGB", (side, side), "grey")
    parsed = parse(answer(named("dog", 0.25, 0.5, 0.5, 0.25), named("cat", 0, 0, 1, 1)), (640, 640))
    drawn = annotate(image, parsed)
    assert drawn.size == image.size and drawn is not image
    assert image.getcolors() == [(side * side, (128, 128, 128))]  # the original is untouched
    dog, cat = drawn.getpixel((side // 2, side * 3 // 4)), drawn.getpixel((side // 2, side - 1))
    assert len({dog, cat, (128, 128, 128), (255, 255, 255)}) == 4  # two colours of their own
    assert drawn.getpixel((side // 2, side * 5 // 8)) == (128, 128, 128)  # the inside stays free
    without_cat = annotate(image, parsed, ["dog"])
    assert without_cat.getpixel((side // 2, side * 3 // 4)) == dog
    assert without_cat.getpixel((side // 2, side - 1)) == (128, 128, 128)


def test_labels_have_colours_of_their_own():
    parsed = parse(answer(*(named(f"thing {i}", 0.04 * i, 0.5, 0.03, 0.1) for i in range(20))), (1000, 1000))
    drawn = annotate(Image.new("RGB", (1000, 1000), "black"), parsed)
    colours = {drawn.getpixel((round(1000 * (0.04 * i + 0.015)), 600)) for i in range(20)}
    assert len(colours) == 20


def test_anything_can_be_drawn():
    awkward = [
        named("猫 é \U0001f431", 0, 0, 1, 1),
        named("x" * 60, 0.9, 0.9, 0.1, 0.1),
        named("dot", 0.5, 0.5, 0.001, 0.001),
    ]
    for size in ((512, 512), (3, 900), (900, 3), (1, 1)):
        parsed = parse(answer(*awkward), size)
        assert annotate(Image.new("RGB", size), parsed).size == size
    assert annotate(Image.new("RGBA", (9, 9)), parse("prose", (9, 9))).mode == "RGB"


@pytest.fixture
def parsed() -> Parsed:
    text = answer(
        DOG, CAT[:-1] + ', "image": 2}', named('a "b", c', 0.1, 0.1, 0.1, 0.1), named("dog", 0.6, 0, 0.4, 0.3)
    )
    return parse(text, (640, 480), [(char, 0.9 if char in "dog" else 1.0) for char in text])


def test_json_is_read_back_as_it_was(parsed):
    again = parse(to_json(parsed), parsed.size)
    assert labelled_boxes(again) == labelled_boxes(parsed) and str(again.report) == "4 read"
    assert [item["image"] for item in again.objects] == [None, 2, None, None]
    assert json.loads(to_json(parsed))["objects"][0]["confidence"] == pytest.approx(0.729)


def test_coco_holds_together(parsed):
    coco = json.loads(json.dumps(to_coco(parsed, "scene.png", parsed.labels)))
    assert coco["images"] == [{"id": 1, "file_name": "scene.png", "width": 640, "height": 480}]
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert names == {1: "dog", 2: "cat", 3: 'a "b", c'}
    assert [names[item["category_id"]] for item in coco["annotations"]] == ["dog", "cat", 'a "b", c', "dog"]
    assert len({item["id"] for item in coco["annotations"]}) == 4
    dog = coco["annotations"][0]
    assert dog["bbox"] == pytest.approx([64, 96, 192, 192]) and dog["area"] == pytest.approx(192 * 192)
    assert dog["score"] == pytest.approx(0.729)


def test_yolo_counts_along_its_classes(parsed):
    lines = to_yolo(parsed, ["bird", "cat", 'a "b", c', "dog"])
    assert [line.split()[0] for line in lines.splitlines()] == ["3", "1", "2", "3"]
    assert [float(number) for number in lines.splitlines()[0].split()[1:]] == pytest.approx([0.25, 0.4, 0.3, 0.4])


def test_csv_survives_commas_and_quotes(parsed):
    rows = list(csv.DictReader(io.StringIO(to_csv(parsed))))
    assert [row["label"] for row in rows] == ["dog", "cat", 'a "b", c', "dog"]
    assert [float(rows[0][key]) for key in ("left", "top", "right", "bottom")] == [64, 96, 256, 288]
    assert [float(rows[0][key]) for key in ("x", "y", "width", "height")] == DOG_BOX
    assert rows[1]["image"] == "2" and rows[0]["image"] == ""


def test_exports_of_nothing():
    nothing = parse('{"objects": []}', SIZE)
    assert json.loads(to_json(nothing))["objects"] == []
    assert to_coco(nothing, "a.png", ["dog"])["annotations"] == [] and to_yolo(nothing, ["dog"]) == ""
    assert len(to_csv(nothing).splitlines()) == 1
