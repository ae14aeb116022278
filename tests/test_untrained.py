"""A model's untrained self: the same architecture, nothing learned, named by a request without being offered."""

import pytest

from tests.tiny import image
from vlm_demo.engine import Engine, EngineError, Message, Request, SamplingParameters


@pytest.fixture(scope="module")
def engine(checkpoint):
    engine = Engine(checkpoint, device="cpu", dtype="float32")
    yield engine
    engine.close()


def test_the_untrained_self_answers_otherwise_and_the_same_each_time(engine, checkpoint):
    model = engine.model
    twin = engine.untrained(model)
    assert twin == f"{model}:untrained" and engine.models == [model]
    shown = image(1)
    settings = SamplingParameters(max_new_tokens=12)
    trained = engine.answer(shown, "What is this?", settings=settings)
    random = engine.answer(shown, "What is this?", settings=settings, model=twin)
    assert random.model == f"{trained.model}:untrained"
    assert [one.id for one in trained.tokens] != [one.id for one in random.tokens]
    assert engine.parameters(twin) == engine.parameters(model) > 0
    again = Engine(f"{checkpoint}:untrained", device="cpu", dtype="float32")
    assert again.answer(shown, "What is this?", settings=settings).text == random.text
    assert again.untrained(again.model) is None
    again.close()


def test_nothing_that_was_measured_is_told_of_it(engine):
    about = engine.description(engine.untrained(engine.model))
    assert "random" in about.knows and about.calibration == {} and about.threshold == 0
    assert engine.answer(image(2), "What is this?", model=engine.untrained(engine.model)).novelty == []


def test_a_request_cannot_name_the_untrained_self_of_what_is_not_here(engine):
    for name in ("elsewhere:untrained", f"{engine.model}:untrained:untrained"):
        with pytest.raises(EngineError, match="There is no model"):
            engine.stream(Request("vqa", (Message("user", (image(1), "What?")),), model=name))
