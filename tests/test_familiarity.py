"""The notice for unfamiliar questions: fitted on known answers, kept beside a checkpoint, shown instead of a number."""

import pytest

from train.evaluation import unfamiliar
from vlm_demo.description import Description, read_description
from vlm_demo.familiarity import Familiarity, count_words
from vlm_demo.results import Result, Token
from vlm_demo.ui import words
from vlm_demo.ui.common import Page

TRAINED = ["How many cats are there?", "What colour is the cat?", "Where is the dog?", "Is there a red dog?"] * 50


def answered(text: str, probability: float) -> Result:
    return Result("vqa", "", text, [Token(0, text, probability, [(text, probability)])], finish_reason="stop")


TOLD = [("How many dogs are there?", answered("2", 0.99), True)] * 20
TOLD += [("Is there a cat?", answered("yes", 0.9), True)] * 20
TOLD += [("Might one happen upon canines?", answered("yes", 0.6), False)] * 20


def test_strange_words_and_unsure_answers_carry_the_notice(tmp_path):
    fitted = unfamiliar.fit(TRAINED, TOLD)
    unfamiliar.write(fitted, tmp_path)
    kept = read_description(tmp_path).familiarity
    assert not kept.is_unfamiliar("How many cats are there?", answered("2", 0.98).tokens)
    assert kept.is_unfamiliar("Should one happen upon felines hereabouts?", answered("no", 0.6).tokens)
    assert kept.score("Where is the dog?", []) == pytest.approx(fitted.score("Where is the dog?", []), abs=1e-4)


def test_a_checkpoint_without_a_score_of_this_kind_flags_nothing(tmp_path):
    assert read_description(tmp_path).familiarity is None
    older = Familiarity(*count_words(TRAINED), weights=(1.0, 2.0), threshold=0.0)
    unfamiliar.write(older, tmp_path)
    assert read_description(tmp_path).familiarity is None


def test_an_answer_that_misses_what_nobody_asked_about_counts_against_it():
    blank = Familiarity(*count_words(TRAINED))
    missed = [
        blank.signals(question, answered("There is no lion.", 0.9).tokens)[-1]
        for question in ("Where is the lion?", "How many lions?", "Can you point me to the toaster?")
    ]
    assert missed == [0.0, 0.0, 1.0]


def test_no_number_is_shown_beside_the_notice():
    result = answered("yes", 0.97)
    assert "probability 97 %" in words.facts(result) and words.alternatives(result)
    result.unfamiliar = True
    assert not any("%" in fact for fact in words.facts(result)) and not words.alternatives(result)


def test_the_page_says_it_in_the_models_words():
    class Engine:
        def description(self, model):
            return Description(unfamiliar="Ask me in plainer words.", notice="No icons here.")

    page, result = Page(Engine(), router=None), answered("yes", 0.9)
    assert page.outside([result], None) == ""
    result.unfamiliar = True
    assert "plainer words" in page.outside([result], None)
    result.outside = True  # the image matters more
    assert "No icons" in page.outside([result], None)
