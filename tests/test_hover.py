"""The fields that stand out when the pointer is on a name: in their place, in their colour, made in little memory."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from vlm_demo.detection import Parsed, parse
from vlm_demo.detection.drawing import color_of
from vlm_demo.ui import hover


def detections(size: tuple[int, int], **boxes: list[float]) -> Parsed:
    return parse(json.dumps({"objects": [{"label": label, "bbox": box} for label, box in boxes.items()]}), size)


def shown(size: tuple[int, int], parsed: Parsed, folder: Path) -> hover.AnnotatedImageData:
    """What the browser is given."""
    fields, colors = hover.fields(parsed, size)
    component = hover.HoverImage(color_map=colors)
    component.GRADIO_CACHE = str(folder)
    return component.postprocess((Image.new("RGB", size), fields))


def test_each_field_lies_over_its_box_in_its_colour(tmp_path: Path) -> None:
    parsed = detections((80, 40), cat=[0.25, 0.5, 0.25, 0.25], dog=[0.5, 0.0, 0.5, 1.0])
    places = {"1 cat": (20, 20, 40, 30), "2 dog": (40, 0, 80, 40)}
    marked = shown((80, 40), parsed, tmp_path).annotations
    assert [annotation.label for annotation in marked] == list(places)
    for number, (left, top, right, bottom) in enumerate(places.values()):
        with Image.open(marked[number].image.path) as file:
            field = np.asarray(file.convert("RGBA"))  # [H, W, 4]
        inside = np.zeros((40, 80), dtype=bool)
        inside[top:bottom, left:right] = True
        assert (field[inside] == [*ImageColor.getrgb(color_of(number)), hover.TINT]).all()
        assert (field[~inside, 3] == 0).all()


def test_each_of_many_labels_has_the_color_in_which_its_box_is_drawn() -> None:
    parsed = detections((640, 480), **{f"thing {n}": [0.05 * n, 0.0, 0.04, 0.1] for n in range(12)})
    assert list(hover.fields(parsed, (640, 480))[1].values()) == [color_of(number) for number in range(12)]
    assert len({color_of(number) for number in range(12)}) == 12


def test_fields_on_a_large_image_take_little_memory(tmp_path: Path) -> None:
    parsed = detections((1024, 1024), cat=[0.1, 0.1, 0.5, 0.5], dog=[0.2, 0.2, 0.5, 0.5])
    fields, colors = hover.fields(parsed, (1024, 1024))
    tracemalloc.start()
    for box, name in fields:
        assert len(hover.tinted((1024, 1024), box, colors[name])) < 20_000
    assert tracemalloc.get_traced_memory()[1] < 1_000_000  # a mask of float64 alone would take eight times as much
    tracemalloc.stop()
