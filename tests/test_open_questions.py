"""Questions that ask what, which, where or how are never answered with yes or no."""

import pytest
import torch

from tests.tiny import image
from vlm_demo.engine import ICONS, PHOTOGRAPHS
from vlm_demo.images import load
from vlm_demo.runners.base import TokenSequence
from vlm_demo.runners.minivlm import MiniVLMRunner
from vlm_demo.runners.questions import is_open
from vlm_demo.runners.sampling import sample

OPEN = (
    "What takes up the least room?",
    "so, which one is bigger, the key or the carrot?",
    "Can you tell me where the cat is?",
    "whats on the table",
    "How many are there?",
    "In which corner is the cat?",
    "Is it day or night?",
)
CLOSED = (
    "Is there a cat?",
    "What about the dog?",
    "What do you think, is it raining?",
    "Are there cats or dogs?",
    "Which is it, is it left of the dog?",
    "What is this, a cat? Yes or no",
)


@pytest.mark.parametrize("question", OPEN)
def test_what_and_where_are_open(question):
    assert is_open(question)


@pytest.mark.parametrize("question", CLOSED)
def test_what_yes_could_answer_is_not(question):
    assert not is_open(question)


@pytest.mark.parametrize("model", [ICONS, PHOTOGRAPHS], ids=["icons", "photographs"])
def test_an_open_question_does_not_begin_with_yes_however_probable_that_is(model):
    runner = MiniVLMRunner(model)
    yes = runner.processor.encode_chat_with_labels(
        [{"role": "user", "task": "vqa", "text": "Is it?"}, {"role": "assistant", "task": None, "text": "yes"}], 0
    )[1]
    yes = next(id for id in yes if id != -100)

    def written(task, question):
        turn = {"role": "user", "task": task, "text": question}
        sequence = TokenSequence(runner.prepare([turn], [load(image(1))], 4))
        logits = torch.zeros(1, len(runner.processor.tokenizer))
        logits[0, yes] = 9.0
        for _ in range(2):
            sample(logits, [sequence], set(), [])
        return [output.id for output in sequence.outputs]

    first, second = written("vqa", "What is biggest?")
    assert first != yes and second == yes  # later on the word may come up
    assert written("vqa", "Is it big?") == [yes, yes]
    assert written("caption", "What is there?") == [yes, yes]
