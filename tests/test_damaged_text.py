"""Text about objects that is huge, cut, or damaged at random."""

import json
import random
import time

import pytest

from tests.detections import DOG, SIZE, WHOLE, answer, assert_sound, labelled_boxes, named
from vlm_demo.detection import parse, to_coco, to_csv, to_json, to_yolo

HUGE = {
    "open lists": "[" * 300_000,
    "open records": '{"objects": [' * 50_000,
    "nested records": '{"a":' * 100_000,
    "brackets that never match": "{" * 25_000 + "]" * 25_000,
    "brackets of the wrong kind": "[{" * 12_000 + "}]" * 12_000,
    "quotes": '"' * 200_000,
    "quotes in a list": "['" * 100_000,
    "escaped quotes": '{"\\' * 100_000,
    "an endless label": '{"label": "' + "a" * 1_000_000,
    "an endless number": '{"objects": [{"label": "a", "bbox": [' + "1" * 1_000_000,
    "spaces": '{"objects"' + " " * 1_000_000,
    "spaces after quotes": '{"a"' + '" ' * 100_000,
    "words": "{a: " + "b " * 100_000,
    "commas": "[" + "," * 500_000,
    "colons": '["a":' * 50_000,
    "numbers": '{"label": "a", "bbox": [' + "1," * 200_000,
    "keys without values": '{"a" ' * 50_000,
    "backslashes": '{"label": "' + "\\" * 500_000,
    "the same key": "{" + '"a": 1, ' * 50_000,
    "duplicates": answer(*[DOG] * 20_000),
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE.keys())
def test_huge_answers_are_read_in_bounded_time(text):
    began = time.process_time()
    assert_sound(parse(text, SIZE, [(text, 0.5)]))
    assert time.process_time() - began < 2


def test_no_more_objects_than_a_person_can_use():
    objects = [named(f"thing {i}", 0.1, 0.1, 0.2, 0.2) for i in range(500)]
    parsed = parse(answer(*objects), SIZE)
    assert str(parsed.report) == "200 read, 300 dropped (more than 200 ×300)"
    assert parsed.objects[-1]["label"] == "thing 199"


def mutate(rng: random.Random, text: str) -> str:
    """Damage a text somewhere: drop, double, swap or replace a piece, or set in something hostile."""
    spice = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "'",
        "\\",
        "\n",
        "NaN",
        "-",
        "1e9",
        "null",
        "%",
        "```",
        "\ud800",
        "\0",
        "é",
    ]
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice((0, 1, 1, 2, 10)))
        piece = rng.choice(("", rng.choice(spice), text[start:end] * 2, text[start:end][::-1]))
        text = text[:start] + piece + text[end:]
    return text


def test_random_damage_never_raises():
    rng = random.Random(11)
    bases = [WHOLE, WHOLE.replace('"', "'"), answer(*(named(f"é{i}", 0.1 * i, 0, 0.1, 1) for i in range(8)), DOG)]
    read = 0
    for _ in range(1500):
        text = mutate(rng, rng.choice(bases))
        tokens = [(text[i : i + 3], rng.random()) for i in range(0, len(text), 3)]
        parsed = parse(text, (rng.randrange(1, 5000), rng.randrange(1, 5000)), rng.choice((None, tokens)))
        assert_sound(parsed)
        json.loads(to_json(parsed)), to_coco(parsed, "a.png", parsed.labels)
        to_yolo(parsed, parsed.labels), to_csv(parsed)
        read += len(parsed.objects)
    assert read > 3000  # most of the objects survive: damage in one place does not spoil the rest


def test_random_noise_never_raises():
    rng = random.Random(12)
    alphabet = "{}[],:\"'\\ \n0123456789.-+eE%abelox"
    for _ in range(2000):
        text = "".join(rng.choices(alphabet, k=rng.randrange(120)))
        assert_sound(parse(rng.choice(("", '{"objects": [', '{"label": "a", "bbox": [')) + text, SIZE))


def test_one_damaged_character_loses_at_most_its_own_object():
    rng = random.Random(13)
    boxes = [(round(0.1 * i, 1), round(0.05 * i, 2), 0.1, 0.3) for i in range(9)]
    objects = [named(f"thing {i}", *box) for i, box in enumerate(boxes)]
    text = answer(*objects)
    for _ in range(1500):
        place = rng.randrange(1, len(text))
        damaged = text[:place] + rng.choice(("", "x", '"', "}", "]", "{", "[", ",")) + text[place + 1 :]
        kept = {(label, tuple(box)) for label, box in labelled_boxes(parse(damaged, SIZE))}
        whole = {(f"thing {i}", box) for i, box in enumerate(boxes)}
        assert len(kept & whole) >= 8, damaged
        mixed = {(label, box) for label, box in kept - whole if label in dict(whole) and box in boxes}
        assert not mixed, damaged  # no label ever moves to another object's box
