"""Bound decoding: whatever a model would rather write, what comes out has the form that was asked for."""

import json
import random
import string

import pytest

from vlm_demo.runners.grammar import Boxes, Constraint, OneOf, Vocabulary

END = {0}
TEXTS = [
    *string.printable,
    *(' {"objects": [{"label": "', ' {"objects": []}', 'dog", "bbox": [', 'hot dog", "bbox": [', '", "bbox": ['),
    *("0.125, ", "0.250, ", "0.500, ", "0.500", "]}, ", ']}, {"label": "', "]}]}", "cat", "og", " hello"),
]
REGIONS = [("dog", ("0.125", "0.250", "0.500", "0.500")), ("cat", ("0.125", "0.125", "0.250", "0.500"))]


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(enumerate(TEXTS, 1))


def write(grammar, vocabulary: Vocabulary, seed: int, most: int = 400) -> str | None:
    """What a model writes that picks among the allowed tokens by chance; None if it is cut by the length."""
    rng, constraint, text = random.Random(seed), Constraint(grammar, vocabulary), ""
    for _ in range(most):
        allowed = constraint.allowed(END)
        assert allowed, f"nothing may follow {text!r}"
        id = rng.choice(allowed)
        if id in END:
            return text
        text += TEXTS[id - 1]
        constraint.advance(id)
    return None


@pytest.mark.parametrize("labels", [None, ("dog", "hot dog", "cat")])
def test_whatever_is_picked_is_valid_json(vocabulary, labels):
    whole = [text for seed in range(500) if (text := write(Boxes(labels=labels), vocabulary, seed)) is not None]
    assert len(whole) > 100
    for text in whole:
        for item in json.loads(text)["objects"]:
            assert set(item) == {"label", "bbox"} and len(item["bbox"]) == 4
            assert all(0 <= number <= 1 for number in item["bbox"])
            assert labels is None or item["label"] in labels


def test_boxes_are_those_of_the_regions_and_none_comes_twice(vocabulary):
    counts = set()
    for seed in range(60):
        objects = json.loads(write(Boxes(REGIONS), vocabulary, seed))["objects"]
        written = [(item["label"], tuple(f"{number:.3f}" for number in item["bbox"])) for item in objects]
        assert len(set(written)) == len(written) and set(written) <= set(REGIONS)
        counts.add(len(written))
    assert counts == {0, 1, 2}


def test_without_regions_of_these_labels_nothing_is_found(vocabulary):
    assert write(Boxes(REGIONS, labels=("zebra",)), vocabulary, 0) == ' {"objects": []}'


def test_one_of_several_texts(vocabulary):
    assert {write(OneOf(["hello", "hello!"]), vocabulary, seed) for seed in range(20)} == {" hello", " hello!"}


def test_a_token_may_reach_over_parts_of_the_form(vocabulary):
    constraint = Constraint(Boxes(labels=("dog",)), vocabulary)
    constraint.advance(TEXTS.index(' {"objects": [{"label": "') + 1)
    allowed = {TEXTS[id - 1] for id in constraint.allowed(END)}
    assert allowed == {'dog", "bbox": [', "d"}
