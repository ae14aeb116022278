"""Which questions are asked without the turns before them."""

import json
import shutil

import pytest

from tests.tiny import image
from vlm_demo.backends.history import leans, standing_alone
from vlm_demo.description import FILE
from vlm_demo.engine import Engine
from vlm_demo.results import Message, Request

FOLLOW_UPS = (
    "And the dog?",
    "What about the cat?",
    "What colour is it?",
    "Hey, where are they?",
    "The dog?",
    "Where in the picture?",
    "Is there another one?",
    "How many red ones?",
    "Why?",
)
WHOLE = (
    "How many dogs are there?",
    "Is it day or night?",
    "Is there a cat in it?",
    "What is this?",
    "What is his name?",
    "The cat, where is it?",
    "I am looking for a bird. Is it here?",
    "Which one is bigger, the key or the carrot?",
    "What can be seen in the other picture?",
)


@pytest.mark.parametrize("question", FOLLOW_UPS)
def test_a_follow_up_leans_on_what_was_said(question):
    assert leans(question)


@pytest.mark.parametrize("question", WHOLE)
def test_a_whole_question_stands_alone(question):
    assert not leans(question)


IMAGE = object()  # nobody opens it here


def chat(question: str, *later: object) -> Request:
    opening = Message("user", (IMAGE, "Is there a dog?"))
    return Request("vqa", (opening, Message("assistant", ("yes",)), Message("user", (*later, question))))


def test_images_stay_and_a_follow_up_keeps_its_turns():
    assert standing_alone(chat("How many cats?")).messages == (Message("user", (IMAGE, "How many cats?")),)
    for kept in (chat("Where is it?"), chat("How many cats?", IMAGE)):
        assert standing_alone(kept) is kept


def test_a_model_that_asks_alone_answers_as_if_nothing_had_been_said(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    (folder / FILE).write_text(json.dumps({"asks_alone": True}))
    engine = Engine(folder, device="cpu", dtype="float32")
    shown, said = image(3), [("Is there a dog?", "no")]
    first, again = (engine.answer(shown, "How many cats are there?", turns) for turns in ((), said))
    assert again.text == first.text and again.prompt_tokens == first.prompt_tokens
    assert engine.answer(shown, "And where are they?", said).prompt_tokens > first.prompt_tokens
    engine.close()
