"""The bundled icon model, driven by nothing but transformers."""

import pytest
from transformers import AutoModelForImageTextToText, AutoProcessor

from vlm_demo.engine import ICONS, Engine
from vlm_demo.scenes import make_scene

IMAGE = make_scene(12).image(256)
ASKED = {"type": "image", "image": IMAGE}


@pytest.fixture(scope="module")
def engine():
    engine = Engine(ICONS, device="cpu", dtype="float32")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def generate(engine):
    """generate(messages): the answer of transformers' own classes to a chat."""
    engine.load()  # the engine's package registers the classes
    model, processor = AutoModelForImageTextToText.from_pretrained(ICONS), AutoProcessor.from_pretrained(ICONS)

    def answer(*messages: dict) -> str:
        inputs = processor.apply_chat_template(
            list(messages), tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        ids = model.eval().generate(**inputs, do_sample=False, max_new_tokens=160)[0, inputs["input_ids"].shape[1] :]
        return processor.decode(ids, skip_special_tokens=True).strip()

    return answer


def test_a_caption_is_that_of_the_engine(engine, generate):
    text = generate({"role": "user", "content": [ASKED, {"type": "text", "text": "[CAPTION] brief"}]})
    assert text == engine.caption(IMAGE).text != ""


def test_answers_turn_after_turn_are_those_of_the_engine(engine, generate):
    first = {"role": "user", "content": [ASKED, {"type": "text", "text": "How many objects are there?"}]}
    answer = engine.answer(IMAGE, "How many objects are there?").text
    assert generate(first) == answer
    again = engine.answer(IMAGE, "Is it night?", [("How many objects are there?", answer)]).text
    reply = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
    assert generate(first, reply, {"role": "user", "content": [{"type": "text", "text": "Is it night?"}]}) == again
