"""Another model takes over: nobody's request is lost, and a model that cannot be loaded changes nothing."""

import threading

import pytest

from tests.scripted import PICTURE, Bytes, ask, held, until
from vlm_demo import engine as engine_module
from vlm_demo.engine import Engine, EngineError


class Shouting(Bytes):
    """Another model, with other token ids."""

    name = "shouting"

    def prepare(self, turns, images, new_tokens):
        text = turns[-1]["text"]
        if text == "too long":
            raise EngineError("The question is too long for this model.")
        if text == "broken":
            raise OSError("no tokenizer")
        return super().prepare([{"text": text.upper()}], images, new_tokens)


@pytest.fixture
def old():
    return Bytes(max_rows=1)


@pytest.fixture
def new():
    return Shouting(max_rows=1)


@pytest.fixture
def engine(old, new, monkeypatch):
    monkeypatch.setattr(engine_module, "open_backend", lambda *args: new)
    engine = Engine(backend=old)
    yield engine
    old.go.set()
    engine.close(grace=0.2)


def test_who_runs_finishes_and_who_waits_is_answered_by_the_new_model(engine, old, new):
    old.stops = {3}
    running = ask(engine, "I run already", "a")
    until(lambda: held(old))
    waiting = [ask(engine, question, question) for question in ("I wait", "too long", "broken", "I wait too")]
    switching = threading.Thread(target=engine.switch, args=("new",))
    switching.start()
    until(lambda: engine._scheduler._calls)
    assert not new.loaded
    old.go.set()
    switching.join()
    first, last = running.result(), waiting[3].result()
    assert (first.text, first.model) == ("I run already", "bytes")
    assert (last.text, last.model, last.prompt_tokens) == ("I WAIT TOO", "shouting", 10)
    assert waiting[0].result().text == "I WAIT"
    with pytest.raises(EngineError, match="too long for this model"):
        waiting[1].result()
    with pytest.raises(EngineError, match="no tokenizer"):
        waiting[2].result()
    assert new.loaded and not old.loaded and engine.model == "new" and engine.status().model == "shouting"
    assert engine.answer(PICTURE, "hello").text == "HELLO"


def test_a_model_that_cannot_be_loaded_changes_nothing(engine, old, new):
    new.load = lambda: (_ for _ in ()).throw(OSError("no such folder"))
    assert engine.answer(PICTURE, "before").text == "before"
    with pytest.raises(EngineError, match="new could not be loaded.*no such folder"):
        engine.switch("new")
    assert engine.answer(PICTURE, "after").model == "bytes" and old.loads == 1 and engine.model == "bytes"
