"""Reading what a model says about objects: every case of damage by name."""

import json
import math

import numpy as np
import pytest

from tests.detections import CAT, CAT_BOX, DOG, DOG_BOX, SIZE, WHOLE, answer, assert_sound, labelled_boxes, named
from vlm_demo.detection import parse


def test_a_clean_answer():
    parsed = parse(answer(DOG, CAT, named("dog", 0, 0, 1, 1)), SIZE)
    assert labelled_boxes(parsed) == [("dog", DOG_BOX), ("cat", CAT_BOX), ("dog", [0, 0, 1, 1])]
    assert str(parsed.report) == "3 read" and not parsed.failed
    assert parsed.labels == ["dog", "cat"]
    boxes = parsed.detections
    assert boxes.xyxy == pytest.approx(np.array([[20, 20, 80, 60], [100, 50, 140, 75], [0, 0, 200, 100]]), abs=1e-3)
    assert boxes.class_id.tolist() == [0, 1, 0] and boxes.confidence is None
    assert boxes.data["class_name"].tolist() == ["dog", "cat", "dog"]


@pytest.mark.parametrize("text", ['{"objects": []}', ' {"objects":[ ] }\n', "[]", "{'objects': []}", "{objects: []}"])
def test_an_empty_list_says_that_nothing_is_there(text):
    parsed = parse(text, SIZE)
    assert not parsed.failed and not parsed.objects
    assert str(parsed.report).startswith("Nothing found")
    assert len(parsed.detections) == 0 and parsed.detections.class_id.tolist() == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "I see a dog and a cat.",
        "The dog's bowl isn't the cat's.",
        "{}",
        "[",
        "null",
        "the list [] is empty",
        "{a} and [1, 2, 3]",
        '{"answer": "dog"}',
        '{"caption": "a dog", "boxes": [[0.1, 0.2, 0.3, 0.4]]}',
        "[0.1, 0.2, 0.3, 0.4]",
        'He said "dog": and left',
        "<html><body>502</body></html>",
        "__import__('os').system('true')",
        "\0\0\0",
        "\ud800",
    ],
)
def test_what_is_no_detection_answer_has_failed(text):
    parsed = parse(text, SIZE)
    assert parsed.failed and not parsed.objects
    assert str(parsed.report) == "The answer is not a list of boxes"
    assert_sound(parsed)


MENDED = {  # name: (text, words of the report); each must give the dog and the cat as they were written
    "no outer record": (f"[{DOG}, {CAT}]", "2 read"),
    "one object a line": (f"{DOG}\n{CAT}", "2 read"),
    "other keys": (answer('{"id": 7, "score": 0.9, ' + DOG[1:], CAT[:-1] + ', "tags": ["a", {"b": 1}]}'), None),
    "keys in other order": (answer('{"bbox": [0.1, 0.2, 0.3, 0.4], "label": "dog"}', CAT), "2 read"),
    "no spaces": (WHOLE.replace(" ", ""), "2 read"),
    "spread over lines": (json.dumps(json.loads(WHOLE), indent=4), "2 read"),
    "cut off after the last object": (WHOLE[:-2], "2 read, 1 repaired (cut off)"),
    "cut off after the list": (WHOLE[:-1], "2 read, 1 repaired (cut off)"),
    "cut off after a box": (WHOLE[:-3], "2 read, 1 repaired (cut off)"),
    "cut off after a comma": (WHOLE[:-2] + ", ", "2 read, 1 repaired (cut off)"),
    "cut off within the third": (WHOLE[:-2] + ', {"label": "bi', "2 read, 1 dropped (cut off)"),
    "cut off within a number": (
        WHOLE[:-2] + ', {"label": "cow", "bbox": [0.1, 0.1, 0.2, 0.3',
        "2 read, 1 dropped (cut off)",
    ),
    "cut off before the third": (WHOLE[:-2] + ", {", "2 read, 1 repaired (cut off)"),
    "trailing comma in the list": (WHOLE[:-2] + ",]}", "2 read, 1 repaired (trailing comma)"),
    "trailing comma in a box": (WHOLE.replace("400]", "400,]"), "2 read, 1 repaired (trailing comma)"),
    "trailing comma in an object": (WHOLE.replace("]}", "],}"), "2 read, 1 repaired (trailing comma)"),
    "single quotes": (WHOLE.replace('"', "'"), "2 read, 1 repaired (single quotes)"),
    "no quotes": (WHOLE.replace('"', ""), "2 read, 1 repaired (missing quotes)"),
    "an opening quote is missing": (WHOLE.replace('"dog', "dog"), None),
    "a closing quote is missing": (WHOLE.replace('dog"', "dog"), "2 read, 1 repaired (missing quotes)"),
    "a key's closing quote is missing": (WHOLE.replace('"bbox":', '"bbox:', 1), None),
    "a box does not close": (WHOLE.replace("400]", "400"), "2 read, 1 repaired (missing bracket)"),
    "a box does not open": (WHOLE.replace("[0.1", "0.1"), "2 read, 1 repaired (missing bracket)"),
    "an object does not close": (WHOLE.replace("]}, {", "], {"), None),
    "an object does not open": (WHOLE.replace(', {"label"', ', "label"'), "2 read, 1 repaired (missing bracket)"),
    "no object opens or closes": (
        WHOLE.replace("]}, {", "], ").replace('[{"', '["').replace("]}]", "]]"),
        "2 read, 1 repaired (missing bracket)",
    ),
    "the first bracket is missing": (WHOLE[1:], None),
    "a bracket too many": (WHOLE.replace("400]", "400]]"), "2 read, 1 repaired (missing bracket)"),
    "a comma is missing": (WHOLE.replace('"dog",', '"dog"').replace("}, {", "} {"), "2 read"),
    "a colon is missing": (WHOLE.replace('"label":', '"label"', 1).replace('"bbox":', '"bbox"', 1), "2 read"),
    "a code fence": (f"```json\n{WHOLE}\n```", "2 read, 1 repaired (code fence)"),
    "words around": (f"Here's what I see: {WHOLE} That's it!", "2 read, 1 repaired (text around the JSON)"),
    "words and a fence around": (
        f"Sure!\n```\n{WHOLE}\n```\nIt's (fine).",
        "2 read, 2 repaired (code fence, text around the JSON)",
    ),
    "numbers as text": (
        WHOLE.replace("0.100", '"0.1"').replace("0.500, 0.5", '"0.500", 0.5'),
        "2 read, 2 repaired (numbers as text ×2)",
    ),
    "percent with the sign": (WHOLE.replace("[0.100, 0.200", '["10%", 20 %'), "2 read, 1 repaired (percent)"),
    "pixels with the unit": (WHOLE.replace("[0.100, 0.200", "[20px, 20 px"), "2 read, 1 repaired (pixels)"),
    "a duplicate": (answer(DOG, DOG, CAT), "2 read, 1 dropped (duplicate)"),
    "nearly a duplicate": (answer(DOG, DOG.replace("0.400", "0.401"), CAT), "2 read, 1 dropped (duplicate)"),
    "a loop": (answer(DOG, *[CAT] * 50), "2 read, 49 dropped (duplicate ×49)"),
    "three numbers": (answer(DOG, named("cow", 0.1, 0.1, 0.2), CAT), "2 read, 1 dropped (3 numbers)"),
    "five numbers": (answer(DOG, named("cow", 0.1, 0.1, 0.2, 0.2, 0.2), CAT), "2 read, 1 dropped (5 numbers)"),
    "one number": (answer(DOG, named("cow", 0.1), CAT), "2 read, 1 dropped (1 number)"),
    "no numbers": (answer(DOG, named("cow"), CAT), "2 read, 1 dropped (0 numbers)"),
    "no box": (answer(DOG, '{"label": "cow"}', CAT), "2 read, 1 dropped (no box)"),
    "a null box": (answer(DOG, '{"label": "cow", "bbox": null}', CAT), "2 read, 1 dropped (no box)"),
    "a box in words": (answer(DOG, '{"label": "cow", "bbox": "left"}', CAT), "2 read, 1 dropped (no box)"),
    "a box within a box": (answer(DOG, named("cow", [0, 0, 1, 1]), CAT), "2 read, 1 dropped (1 number)"),
    "no label": (answer(DOG, '{"bbox": [0, 0, 1, 1]}', CAT), "2 read, 1 dropped (no label)"),
    "an empty label": (answer(DOG, named(" \t", 0, 0, 1, 1), CAT), "2 read, 1 dropped (no label)"),
    "a number for a label": (answer(DOG, '{"label": 3, "bbox": [0, 0, 1, 1]}', CAT), "2 read, 1 dropped (no label)"),
    "a null label": (answer(DOG, '{"label": null, "bbox": [0, 0, 1, 1]}', CAT), "2 read, 1 dropped (no label)"),
    "NaN": (answer(DOG, named("cow", math.nan, 0, 0.5, 0.5), CAT), "2 read, 1 dropped (not a number)"),
    "infinity": (answer(DOG, named("cow", 0, 0, math.inf, 0.5), CAT), "2 read, 1 dropped (not a number)"),
    "minus infinity": (answer(DOG, named("cow", -math.inf, 0, 0.5, 0.5), CAT), "2 read, 1 dropped (not a number)"),
    "a number without end": (
        answer(DOG, '{"label": "cow", "bbox": [0, 0, 1e999, 0.5]}', CAT),
        "2 read, 1 dropped (not a number)",
    ),
    "words for numbers": (answer(DOG, named("cow", "a", "b", "c", "d"), CAT), "2 read, 1 dropped (not a number)"),
    "null for a number": (answer(DOG, named("cow", None, 0, 0.5, 0.5), CAT), "2 read, 1 dropped (not a number)"),
    "negative size": (answer(DOG, named("cow", 0.5, 0.5, -0.2, 0.2), CAT), "2 read, 1 dropped (negative size)"),
    "no width": (answer(DOG, named("cow", 0.5, 0.5, 0, 0.2), CAT), "2 read, 1 dropped (no area)"),
    "no height": (answer(DOG, named("cow", 0.5, 0.5, 0.2, 0), CAT), "2 read, 1 dropped (no area)"),
    "less than a trace of width": (
        answer(DOG, named("cow", 0.5, 0.5, 1e-300, 0.2), CAT),
        "2 read, 1 dropped (no area)",
    ),
    "pixels without a unit": (
        answer(DOG, named("cow", 20, 20, 60, 40), CAT),
        "2 read, 1 dropped (not between 0 and 1)",
    ),
    "thousandths": (answer(DOG, named("cow", 100, 200, 300, 400), CAT), "2 read, 1 dropped (not between 0 and 1)"),
    "a picture away": (answer(DOG, named("cow", 1.2, 0.1, 0.2, 0.2), CAT), "2 read, 1 dropped (outside the image)"),
    "corners for a size": (
        answer(DOG, named("cow", 0.6, 0.6, 0.9, 0.9), CAT),
        "2 read, 1 dropped (mostly outside the image)",
    ),
    "two kinds of damage": (
        answer(DOG, named("cow", 0.1), named("cow", 0.1), '{"label": "pig"}', CAT)[:-1],
        "2 read, 1 repaired (cut off), 3 dropped (1 number ×2, no box)",
    ),
}


@pytest.mark.parametrize(("text", "words"), MENDED.values(), ids=MENDED.keys())
def test_damage_is_mended_or_dropped_and_told(text, words):
    parsed = parse(text, SIZE)
    assert labelled_boxes(parsed) == [("dog", DOG_BOX), ("cat", CAT_BOX)]
    assert words is None or str(parsed.report) == words
    assert_sound(parsed)


def test_every_place_to_cut_keeps_the_whole_objects():
    last = {1: WHOLE.index("}, {") + 1, 2: len(WHOLE) - 2}
    for end in range(len(WHOLE)):
        parsed = parse(WHOLE[:end], SIZE)
        assert_sound(parsed)
        whole = sum(end >= place for place in last.values())
        # An object that lacks only its last bracket counts as whole too.
        assert len(parsed.objects) - whole in ((0, 1) if end + 1 in last.values() else (0,)), WHOLE[:end]
        if parsed.objects or not parsed.failed:
            assert "cut off" in str(parsed.report)


def test_boxes_partly_outside_are_clipped_and_told():
    parsed = parse(answer(named("dog", -0.1, 0.2, 0.4, 0.3), named("cat", 0.9, 0.9, 0.15, 0.11)), SIZE)
    assert str(parsed.report) == "2 read, 2 repaired (clipped ×2)"
    assert parsed.detections.xyxy == pytest.approx(np.array([[0, 20, 60, 50], [180, 90, 200, 100]]), abs=1e-3)
    assert_sound(parsed)


def test_rounding_at_the_edge_is_no_repair():
    parsed = parse(answer(named("dog", 0.7, 0.2, 0.301, 0.801)), SIZE)
    assert str(parsed.report) == "1 read"
    assert_sound(parsed)


def test_equal_boxes_of_other_labels_or_other_images_are_kept():
    same = '"bbox": [0.1, 0.2, 0.3, 0.4]'
    labels = answer(f'{{"label": "dog", {same}}}', f'{{"label": "cat", {same}}}')
    images = answer(f'{{"label": "dog", {same}, "image": 1}}', f'{{"label": "dog", {same}, "image": 2}}')
    assert len(parse(labels, SIZE).objects) == len(parse(images, SIZE).objects) == 2


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ('"köttbullar"', "köttbullar"),
        ('"猫"', "猫"),
        ('"\\u732b"', "猫"),
        ('"\\ud83d\\udc31"', "🐱"),
        ('"👩\u200d🚀"', "👩\u200d🚀"),
        ('"\\ud83d lost"', "\ufffd lost"),
        ('"a \\"big\\" dog"', 'a "big" dog'),
        ('"a "big" dog"', 'a "big" dog'),
        ('"back\\\\slash"', "back\\slash"),
        ('"dog\'s bowl"', "dog's bowl"),
        ("'dog's bowl'", "dog's bowl"),
        ("'dog\\'s bowl'", "dog's bowl"),
        ("red dog", "red dog"),
        ('"a {curly} [square] label"', "a {curly} [square] label"),
        ('"a: b, c"', "a: b, c"),
        ('"  two\\n lines "', "two lines"),
        ('"\\u0000\\u001bzero"', "zero"),
        ('"<b>bold</b>"', "<b>bold</b>"),
        ('"' + "x" * 60 + '"', "x" * 60),
        ('"' + "x" * 5000 + '"', "x" * 59 + "…"),
    ],
)
def test_labels(written, label):
    parsed = parse(answer(f'{{"label": {written}, "bbox": [0.1, 0.2, 0.3, 0.4]}}', CAT), SIZE)
    assert [item["label"] for item in parsed.objects] == [label, "cat"]
    assert ("long label" in str(parsed.report)) == (len(written) > 100)
    assert_sound(parsed)


def test_confidence_is_the_product_over_the_tokens_of_the_label():
    tokens = [
        ('{"objects": [{"', 0.1),
        ("label", 0.1),
        ('": "', 0.1),
        ("do", 0.5),
        ("g", 0.5),
        ('", "', 0.1),
        ("bbox", 0.1),
    ]
    tokens += [
        ('": [0.1, 0.2, 0.3, 0.4]}, {"label": "', 0.1),
        ('cat"', 0.9),
        (', "bbox": [0.5, 0.5, 0.2, 0.25]}]}', 0.1),
    ]
    text = "".join(token for token, _ in tokens)
    parsed = parse(text, SIZE, tokens)
    assert [item["confidence"] for item in parsed.objects] == pytest.approx([0.25, 0.9])
    assert parsed.detections.confidence == pytest.approx([0.25, 0.9])
    # The same answer with space around it, which was stripped from the text.
    parsed = parse(text, SIZE, [(" \n", 0.1), *tokens, ("\n", 0.1)])
    assert [item["confidence"] for item in parsed.objects] == pytest.approx([0.25, 0.9])


def test_confidence_is_unknown_rather_than_made_up():
    for tokens in (None, [], [("something else", 0.9)]):
        parsed = parse(WHOLE, SIZE, tokens)
        assert [item["confidence"] for item in parsed.objects] == [None, None]
        assert parsed.detections.confidence is None


def test_confidence_stays_with_its_object_when_others_are_dropped():
    text = answer(named("cow", 0.1), DOG, DOG, CAT)
    tokens = [(char, 0.5 if char in "dog" else 1.0) for char in text]
    assert [item["confidence"] for item in parse(text, SIZE, tokens).objects] == pytest.approx([0.125, 1.0])


def test_objects_of_several_images():
    text = answer(DOG[:-1] + ', "image": 1}', CAT[:-1] + ', "image": "2"}', named("sun", 0, 0, 0.1, 0.1))
    parsed = parse(text, SIZE)
    assert [item["image"] for item in parsed.objects] == [1, 2, None]
    assert [item["label"] for item in parsed.of_image(1, SIZE).objects] == ["dog", "sun"]
    second = parsed.of_image(2, (1000, 1000))
    assert [item["label"] for item in second.objects] == ["cat", "sun"]
    assert second.detections.xyxy[0] == pytest.approx([500, 500, 700, 750])
    assert second.labels == parsed.labels and second.detections.class_id.tolist() == [1, 2]
    for nonsense in ("0", "9", "1.5", "-1", "true", "null", '"one"', "[1]", "NaN", "1e999"):
        assert parse(answer(DOG[:-1] + f', "image": {nonsense}}}'), SIZE).objects[0]["image"] is None, nonsense


def test_the_filter_keeps_colours():
    parsed = parse(answer(DOG, CAT), SIZE)
    only = parsed.only(["cat"])
    assert [item["label"] for item in only.objects] == ["cat"]
    assert only.detections.class_id.tolist() == [1] and len(parsed.objects) == 2
    assert parsed.only([]).objects == [] and len(parsed.only([]).detections) == 0
