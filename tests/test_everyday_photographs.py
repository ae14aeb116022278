"""Everyday questions about photographs: each answer follows from captions and boxes, and yes is as frequent as no."""

import random
from collections import Counter
from dataclasses import replace

from train.photographs import everyday, words
from train.photographs.conversations import Seen
from train.photographs.data import Photo, Question
from train.photographs.evaluation import hand_written, holds
from train.photographs.questions import YES_NO, balanced
from train.photographs.settings import setting

HORSES = (
    "A man is riding a brown horse on a sandy beach.",
    "A man wearing a red shirt rides along the beach under a cloudy sky.",
    "A rider holding a rope near the waves.",
)
KITCHEN = (
    "A kitchen with a stove and a white refrigerator.",
    "The kitchen counter has a sink.",
    "An empty kitchen at night.",
)
BOXES = (("horse", (0.5, 0.3, 0.4, 0.5)), ("person", (0.55, 0.1, 0.1, 0.3)))
DRAWS = 300


def seen(captions=HORSES, objects=BOXES, questions=()) -> Seen:
    return Seen(Photo("one", b"", "coco", captions, objects, "all", tuple(questions)), ())


def asked(maker, one: Seen) -> dict[str, set[str]]:
    """Every question that a maker can ask, without its mark and capitals, and its answers."""
    answers: dict[str, set[str]] = {}
    for number in range(DRAWS):
        for question, answer in maker(one, random.Random(number)):
            answers.setdefault(question.lower().rstrip("?."), set()).add(answer)
    return answers


def test_where_and_when_follow_from_the_captions():
    assert setting(seen()).outdoors is True and setting(seen()).place == ("beach", "on a beach")
    assert setting(seen()).weather == "cloudy" and not setting(seen()).night
    kitchen = setting(seen(KITCHEN, (("sink", (0.1, 0.1, 0.2, 0.2)),)))
    assert kitchen.outdoors is False and kitchen.place == ("kitchen", "in a kitchen") and kitchen.night
    nothing = setting(seen(("A red ball.",), ()))
    assert nothing.outdoors is nothing.place is nothing.weather is None


def test_questions_are_answered_as_the_photograph_is():
    assert asked(everyday.where, seen())["where was this taken"] == {"on a beach"}
    assert asked(everyday.where, seen())["is this a beach"] == {"yes"}
    assert asked(everyday.weather, seen())["what is the weather like"] == {"cloudy"}
    assert asked(everyday.counted, seen())["how many people are there"] == {"one"}
    assert asked(everyday.anyone, seen())["are there any people"] == {"yes"}
    assert asked(everyday.side, seen())["is the horse on the left or on the right"] == {"right"}
    assert asked(everyday.doing, seen())["what is the man doing"] == {"riding a brown horse"}
    assert asked(everyday.wearing, seen())["what is he wearing"] == {"red shirt"}
    assert asked(everyday.colored, seen(("A red bus.",), ()))["what color is the bus"] == {"red"}
    assert asked(everyday.in_or_out, seen())["is it outdoors"] == {"yes"}
    assert asked(everyday.main_thing, seen())["what is this"] == {"a horse"}


def test_false_premises_are_refused():
    kitchen = seen(KITCHEN, (("sink", (0.1, 0.1, 0.2, 0.2)),))
    assert set().union(*asked(everyday.wearing, kitchen).values()) == {words.UNKNOWN}
    assert asked(everyday.of_a_kind, kitchen)["what animal is this"] == {words.UNKNOWN}
    assert asked(everyday.counted, kitchen)["how many people are there"] == {"none"}
    assert asked(everyday.room, kitchen)["what room is this"] == {"kitchen"}
    assert asked(everyday.room, seen())["what room is this"] == {words.UNKNOWN}
    assert all(answers == {words.UNKNOWN} for answers in asked(everyday.unknowable, seen()).values())


def test_yes_is_as_frequent_as_no_in_every_wording():
    def photo(number: int, question: str, answer: str) -> Photo:
        question = Question(question, answer, YES_NO)
        return replace(seen().photo, image_id=str(number), questions=(question, Question("What?", "a", "coco-qa")))

    rows = [("Is this a zoo?", "yes")] * 3 + [("is this a zoo?", "no")] + [("Is it hot?", "no")] * 2
    kept = balanced([photo(number, *row) for number, row in enumerate(rows)])
    answers = Counter(qa.answer for one in kept for qa in one.questions if qa.kind == YES_NO)
    assert len(kept) == 6 and answers == {"yes": 1, "no": 1}
    assert sum(qa.kind == "coco-qa" for one in kept for qa in one.questions) == 6


def test_hand_written_questions_are_compared_by_words():
    photo = replace(seen().photo, image_id="coco-431523")
    asked = hand_written([photo])
    assert len(asked) == 7 and all(one is photo and answers for one, _, answers in asked)
    assert holds("A black train.", ["train", "locomotive"]) and holds("two", ["2"]) and not holds("trains", ["train"])
    assert holds(words.UNKNOWN, [words.UNKNOWN]) and not holds("not", ["no"])
