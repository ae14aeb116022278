"""Two models beside each other: what agrees, what differs, how fast, and what a visitor votes."""

import csv
import io
import json

import pytest

from vlm_demo.results import Result, Timings
from vlm_demo.versus import MOST_VOTES, Speed, kept, places, vote, votes_csv, votes_json

BOX, HALF, FAR = [0.1, 0.1, 0.2, 0.2], [0.1, 0.1, 0.2, 0.1], [0.6, 0.6, 0.2, 0.2]


def box(label: str, bbox: list[float]) -> dict:
    return {"label": label, "bbox": bbox, "image": None, "confidence": None}


def result(text: str = "a cat", model: str = "one", **more) -> Result:
    return Result("caption", "[CAPTION] brief", text, model=model, finish_reason="stop", **more)


def test_boxes_agree_where_place_and_label_do():
    matches = places([box("cat", BOX), box("dog", FAR)], [box("dog", FAR), box("cat", HALF)])
    assert [(one.kind, one.left["label"], one.iou) for one in matches] == [
        ("both", "cat", pytest.approx(0.5)),
        ("both", "dog", pytest.approx(1.0)),
    ]


def test_boxes_differ_in_name_or_where_only_one_model_has_them():
    matches = places([box("cat", BOX), box("cup", FAR)], [box("dog", BOX), box("bed", [0.0, 0.8, 0.1, 0.1])])
    assert [(one.kind, one.left and one.left["label"], one.right and one.right["label"]) for one in matches] == [
        ("renamed", "cat", "dog"),
        ("left", "cup", None),
        ("right", None, "bed"),
    ]
    assert matches[1].iou is None


def test_an_agreement_goes_before_a_better_overlap_under_another_name():
    matches = places([box("cat", BOX)], [box("dog", BOX), box("cat", HALF)])
    assert [one.kind for one in matches] == ["both", "right"]
    assert places([], []) == []


def test_speed_leaves_the_queue_out():
    speed = Speed.of(result(new_tokens=11, timings=Timings(queue=9, encode=0.1, prefill=0.2, decode=0.5)))
    assert speed.first_ms == pytest.approx(300) and speed.per_second == pytest.approx(20)
    assert speed.seconds == pytest.approx(0.8)
    assert Speed.of(result(new_tokens=1, timings=Timings(encode=0.1))).per_second is None


def test_votes_are_rows_to_download():
    votes = [vote(result("=1+1"), result("a dog", "two"), verdict, True) for verdict in ("right", "tie")]
    rows = list(csv.DictReader(io.StringIO(votes_csv(votes))))
    assert [(row["verdict"], row["winner"], row["blind"]) for row in rows] == [
        ("right", "two", "True"),
        ("tie", "", "True"),
    ]
    assert rows[0]["left_answer"] == "'=1+1"  # no spreadsheet runs what a model wrote
    assert json.loads(votes_json(votes))[0] | {"time": ""} == {
        "time": "",
        "task": "caption",
        "prompt": "[CAPTION] brief",
        "left": "one",
        "right": "two",
        "left_answer": "=1+1",
        "right_answer": "a dog",
        "verdict": "right",
        "winner": "two",
        "blind": True,
    }


def test_votes_are_bounded():
    votes = []
    for number in range(MOST_VOTES + 2):
        votes = kept(votes, vote(result(str(number)), result(), "left", False))
    assert len(votes) == MOST_VOTES and votes[0].left_answer == "2"
