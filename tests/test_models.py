"""Several models in one engine: each request names its own, memory stays within a budget, turns are fair over all."""

import threading

import pytest

from tests.scripted import IMAGE, Bytes, ask, held, until
from vlm_demo.engine import Engine, EngineError, Message, Request, SamplingParameters
from vlm_demo.engine import models as engine_models

SIZE = 12_000_000  # bytes of a scripted model


class Shouting(Bytes):
    """Another model, with other token ids."""

    name = "shouting"

    def prepare(self, turns, images, new_tokens, choices=()):
        if turns[-1]["text"] == "too long":
            raise EngineError("The question is too long for this model.")
        return super().prepare([{"text": turns[-1]["text"].upper()}], images, new_tokens)


@pytest.fixture
def runners(monkeypatch):
    """The models that an engine finds by name."""
    by_name = {"quiet": Bytes(max_sequences=2), "loud": Shouting(max_sequences=2), "third": Bytes(max_sequences=2)}
    monkeypatch.setattr(engine_models, "open_runner", lambda model, *_: by_name[model])
    return by_name


@pytest.fixture
def make(runners):
    engines = []

    def make(budget=2 * SIZE, **limits):
        engines.append(Engine("quiet", models=["loud", "third"], memory_budget=budget, **limits))
        return engines[-1]

    yield make
    for runner in runners.values():
        runner.go.set()
    for engine in engines:
        engine.close(grace=0.2)


def request(text="hello", model=None, **sampling):
    return Request("vqa", (Message("user", (IMAGE, text)),), SamplingParameters(**sampling), model)


def test_each_request_names_its_model(make):
    engine = make()
    quiet, loud = engine.stream(request()), engine.stream(request(model="loud"))
    assert (quiet.result().text, loud.result().text) == ("hello", "HELLO")
    assert (quiet.result().model, loud.result().model) == ("bytes", "shouting")
    assert engine.answer(IMAGE, "hello", model="loud").text == "HELLO"
    with pytest.raises(EngineError, match="no model 'tiny' here; choose one of quiet, loud, third"):
        engine.stream(request(model="tiny"))
    with pytest.raises(EngineError, match="too long for this model"):
        engine.stream(request("too long", "loud"))


def test_two_models_write_at_the_same_time(make, runners):
    engine = make()
    runners["quiet"].stops = {3}
    waits = ask(engine, "a long answer", "a")
    until(lambda: held(runners["quiet"]))
    other = engine.stream(request("hi", "loud"), "b")
    runners["quiet"].stops = {8}
    runners["quiet"].go.set()
    assert other.result().text == "HI" and not waits.done
    runners["quiet"].go.set()
    assert waits.result().text == "a long answer"


def test_the_least_recently_used_model_makes_room(make, runners):
    engine = make(budget=2 * SIZE)
    for model in ("quiet", "loud", "quiet", "third"):
        engine.answer(IMAGE, "hello", model=model)
    assert [runner.loaded for runner in runners.values()] == [True, False, True]
    engine.answer(IMAGE, "hello", model="loud")
    assert [runner.loaded for runner in runners.values()] == [False, True, True]
    engine.unload()
    assert not any(runner.loaded for runner in runners.values())


def test_one_model_may_be_larger_than_the_budget(make, runners):
    engine = make(budget=1)
    assert engine.answer(IMAGE, "hello").text == "hello" and runners["quiet"].loaded
    assert engine.answer(IMAGE, "hello", model="loud").text == "HELLO" and not runners["quiet"].loaded


def test_a_model_waits_until_one_that_writes_can_make_room(make, runners):
    engine = make(budget=SIZE)
    engine.answer(IMAGE, "hello", model="loud")  # now its size is known
    quiet, loud = runners["quiet"], runners["loud"]
    quiet.stops = {3}
    running = ask(engine, "I run already", "a")
    until(lambda: held(quiet))
    waiting = engine.stream(request("I wait", "loud"), "b")
    quiet.stops = {6}
    quiet.go.set()
    until(lambda: held(quiet))
    assert quiet.loaded and not loud.loaded and waiting.position.number == 1
    quiet.go.set()
    assert running.result().text == "I run already" and waiting.result().text == "I WAIT"
    assert loud.loaded and not quiet.loaded


def test_turns_are_fair_over_all_models(make, runners):
    engine = make()
    engine.load("loud")
    runners["quiet"].max_sequences = 1
    runners["quiet"].stops = {0}
    first = ask(engine, "first", "a")
    until(lambda: held(runners["quiet"]))
    own = [engine.stream(request(f"own {number}", "loud"), "a") for number in range(2)]
    assert [one.position.number for one in own] == [1, 2]
    stranger = ask(engine, "stranger", "b")
    assert [one.position.number for one in (*own, stranger)] == [1, 3, 2]
    runners["quiet"].go.set()
    assert [one.result().text for one in (first, *own, stranger)] == ["first", "OWN 0", "OWN 1", "stranger"]


def test_the_speed_of_one_model_says_nothing_about_another(make, runners):
    engine = make()
    engine.answer(IMAGE, "hello")
    runners["loud"].max_sequences = 1
    runners["loud"].stops = {0}
    first = engine.stream(request("first", "loud"), "a")
    until(lambda: held(runners["loud"]))
    second = engine.stream(request("second", "loud"), "b")
    assert second.position.seconds is None
    runners["loud"].go.set()
    assert first.result().text == "FIRST" and second.result().text == "SECOND"


def test_ten_visitors_use_two_models_at_once(make, runners):
    engine = make()
    quiet, loud = runners["quiet"], runners["loud"]
    texts = {f"visitor {number}": f"I am number {number}" for number in range(10)}
    answers = {visitor: [] for visitor in texts}

    def visit(visitor, text):
        for turn in range(6):
            model = ("quiet", "loud")[(turn + len(visitor) + int(visitor[-1])) % 2]
            answers[visitor].append((model, engine.stream(request(text, model), visitor).result().text))

    threads = [threading.Thread(target=visit, args=pair) for pair in texts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for visitor, text in texts.items():
        assert len(answers[visitor]) == 6
        assert all(answer == {"quiet": text, "loud": text.upper()}[model] for model, answer in answers[visitor])
    assert quiet.loads == loud.loads == 1 and engine.status().running == 0
    assert max(quiet.prefills + loud.prefills) <= 2


def test_models_are_named_by_the_environment_where_nobody_names_them(runners, monkeypatch):
    monkeypatch.setenv("VLM_DEMO_MODEL", "loud 'third'")
    engine = Engine()
    assert engine.models == ["loud", "third"] and engine.answer(IMAGE, "hello").text == "HELLO"
    engine.close()
    assert Engine("quiet").models == ["quiet"] and Engine(runner=Bytes()).models == ["bytes"]


def test_a_model_is_found_by_the_name_that_people_see(tmp_path, runners):
    folder = tmp_path / "runs" / "captions"
    folder.mkdir(parents=True)
    runners[str(folder)] = Shouting()
    engine = Engine("quiet", models=[folder])
    assert engine.answer(IMAGE, "hello", model="captions").text == "HELLO"
    with pytest.raises(EngineError) as caught:
        engine.answer(IMAGE, "hello", model="tiny")
    assert str(caught.value).endswith("choose one of quiet, captions."), "where a folder lies is nobody's business"
    engine.close()


def test_another_model_becomes_the_one_for_those_who_name_none(make, runners):
    engine = make()
    runners["quiet"].stops = {3}
    running = ask(engine, "I asked before", "a")
    until(lambda: held(runners["quiet"]))
    waiting = ask(engine, "so did I", "a")
    runners["quiet"].go.set()
    engine.switch("loud")
    assert engine.model == "loud" and engine.status().model == "shouting" and engine.status().loaded
    assert [one.result().text for one in (running, waiting)] == ["I asked before", "so did I"]
    assert engine.answer(IMAGE, "hello").text == "HELLO"


def test_a_model_that_cannot_be_loaded_changes_nothing(make, runners):
    engine = make()
    runners["fourth"] = Bytes()
    runners["fourth"].load = lambda: (_ for _ in ()).throw(OSError("no such folder"))
    with pytest.raises(EngineError, match="fourth could not be loaded.*no such folder"):
        engine.switch("fourth")
    assert engine.model == "quiet" and engine.models == ["quiet", "loud", "third"]
    assert engine.answer(IMAGE, "after").text == "after"


def test_images_stand_where_they_are_mentioned(make, runners):
    asked = []
    prepare = runners["quiet"].prepare
    runners["quiet"].prepare = lambda turns, images, length, choices: (
        asked.append((turns, images)) or prepare([{"text": "hello"}], images, length)
    )
    engine = make()
    chat = (
        Message("user", ("Is", IMAGE, "like", IMAGE, "?")),
        Message("assistant", ("no",)),
        Message("user", ("why?",)),
    )
    engine.stream(Request("vqa", chat)).result()
    turns, images = asked[0]
    texts = [{"type": "text", "text": text} for text in ("Is", "like", "?", "why?")]
    assert turns[0]["content"] == [texts[0], {"type": "image"}, texts[1], {"type": "image"}, texts[2]]
    assert turns[1]["text"] == "no" and turns[2]["content"] == [texts[3]] and len(images) == 2
    engine.answer([IMAGE, IMAGE], "and now?", [("before?", "yes")])
    assert [turn["text"] for turn in asked[1][0]] == ["before?", "yes", "and now?"]


@pytest.mark.parametrize(
    ("task", "messages", "message"),
    [
        ("sing", [("user", "hello")], "no task 'sing'"),
        ("vqa", [], "first and the last word"),
        ("vqa", [("user", "a"), ("assistant", "b")], "first and the last word"),
        ("vqa", [("assistant", "a")], "take turns"),
        ("vqa", [("user", "a"), ("assistant", IMAGE), ("user", "c")], "Only the user's"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(task, messages, message):
    with pytest.raises(EngineError, match=message):
        Request(task, tuple(Message(role, (part,)) for role, part in messages))
