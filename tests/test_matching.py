"""Which boxes are right: counted by hand."""

import pytest

from vlm_demo.detection import iou, match

BOX, HALF, FAR = [0.1, 0.1, 0.2, 0.2], [0.1, 0.1, 0.2, 0.1], [0.6, 0.6, 0.2, 0.2]


def box(label: str, bbox: list[float], confidence: float | None = None) -> dict:
    return {"label": label, "bbox": bbox, "image": None, "confidence": confidence}


def test_iou_of_boxes_that_are_one_half_and_apart() -> None:
    assert [iou(BOX, other) for other in (BOX, HALF, FAR)] == pytest.approx([1, 0.5, 0])


def test_a_box_finds_an_object_of_its_label_that_it_overlaps() -> None:
    references = [("cat", BOX), ("dog", FAR)]
    assert match([box("dog", FAR), box("cat", HALF), box("cow", BOX)], references) == [1, 0, None]
    assert match([box("cat", FAR)], references) == [None]
    assert match([], references) == [] and match([box("cat", BOX)], []) == [None]


def test_nothing_is_found_twice_and_the_most_certain_chooses_first() -> None:
    assert match([box("cat", HALF, 0.4), box("cat", BOX, 0.9)], [("cat", BOX)]) == [None, 0]
    assert match([box("cat", HALF), box("cat", BOX)], [("cat", BOX)]) == [0, None]
