"""Which image shows ...? asked image by image, and answers chosen by how probable they are."""

import math

import pytest

from vlm_demo.backends.selection import described
from vlm_demo.description import Description, logit
from vlm_demo.results import Message, Request, Result, Token
from vlm_demo.ui import words


def asked(text: str, images: int = 2) -> Request:
    return Request("compare", (Message("user", (*range(images), text)),))  # what is no text stands for an image


@pytest.mark.parametrize(
    "question, words",
    [
        ("Which image shows a dog?", "a dog"),
        ("which picture has two cats", "two cats"),
        ("In which image is there a red bus?", "a red bus"),
        ("Which image shows this: A man rides a horse.", "A man rides a horse."),
        ("Which of them shows a boat?", "a boat"),
    ],
)
def test_what_is_looked_for_is_read_from_the_question(question, words):
    assert described(asked(question)) == words


@pytest.mark.parametrize(
    "question", ["What changed?", "Which image shows the most people?", "Describe the first image."]
)
def test_other_questions_are_answered_by_writing(question):
    assert described(asked(question)) is None


def test_one_image_is_no_choice():
    assert described(asked("Which image shows a dog?", images=1)) is None


def test_a_calibrated_confidence_follows_its_curve():
    about = Description(calibration={"boxes": [0.5, 1.0, 2.0]})
    expected = 1 / (1 + math.exp(-(0.5 + logit(0.7) + 2 * logit(0.4))))
    assert about.calibrated("boxes", 0.7, 0.4) == pytest.approx(expected)
    assert about.calibrated("answers", 0.7) is None and 0 < about.calibrated("boxes", 0.0, 1.0) < 1


@pytest.mark.parametrize(
    "question, answer, kind",
    [
        ("Is there a dog in the picture?", "yes", "present"),
        ("are there any wine glasses", "No.", "present"),
        ("Do you see a dog here?", "yes", "present"),
        ("Is there a dog in the water?", "yes", "yes_no"),  # that takes more than to find a dog
        ("Is there a ghost?", "no", "yes_no"),
        ("Is this a kitchen?", "yes", "yes_no"),
        ("Is there a dog?", "a cat", "answers"),
        ("What color is the dog?", "red", "answers"),
    ],
)
def test_each_kind_of_answer_has_a_chance_of_its_own(question, answer, kind):
    about = Description(names=("dog", "dogs", "wine glass", "wine glasses"))
    assert about.answer_kind(question, answer) == kind


def test_nothing_is_called_sure_that_was_not_measured():
    result = Result("vqa", "", text="red", tokens=[Token(1, "red", 0.9, [])], finish_reason="stop")
    assert "probability 90 %" in words.facts(result)
    result.calibrated = True
    assert not any("%" in fact for fact in words.facts(result))
    result.chance = 0.82
    assert "right in about 82 % of such cases" in words.facts(result)
    result.text, result.chance = "yes", 0.48
    assert "a guess: right in about 48 % of such cases" in words.facts(result)
