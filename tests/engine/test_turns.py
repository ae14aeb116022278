"""Who is served when: fairness, limits, and the position in the queue."""

import threading

import pytest

from tests.scripted import IMAGE, ask, until
from vlm_demo.engine import Engine, QueueFull, intake
from vlm_demo.results import Position, Visitor


def test_sessions_take_turns(model):
    model.max_sequences = 1
    engine = Engine(runner=model)
    model.go.clear()
    running = [ask(engine, "a0", "a")]
    until(lambda: model.joined == ["a0"])
    running += [ask(engine, f"a{number}", "a") for number in range(1, 5)]
    running += [ask(engine, "b1", "b"), ask(engine, "c1", "c"), ask(engine, "b2", "b")]
    places = [generation.position.number for generation in running[1:]]
    assert running[0].position is None and places == [1, 4, 6, 7, 2, 3, 5]
    model.go.set()
    for generation in running:
        generation.result()
    assert model.joined == ["a0", "a1", "b1", "c1", "a2", "b2", "a3", "a4"]
    engine.close()


def test_who_invents_sessions_gets_no_more_turns_than_others(model):
    model.max_sequences = 1
    engine = Engine(runner=model)
    model.go.clear()
    running = [ask(engine, "first", "z")]
    until(lambda: model.joined == ["first"])
    asked = [("greedy", "1", "g1"), ("greedy", "2", "g2"), ("greedy", "3", "g3"), ("greedy", "1", "g4")]
    asked += [("class", "a", "a1"), ("class", "b", "b1"), ("home", "h", "h1")]
    running += [ask(engine, text, Visitor(name, address)) for address, name, text in asked]
    assert [generation.position.number for generation in running[1:]] == [1, 4, 6, 7, 2, 5, 3]
    model.go.set()
    for generation in running:
        generation.result()
    assert model.joined == ["first", "g1", "a1", "h1", "g2", "b1", "g3", "g4"]
    engine.close()


def test_one_address_cannot_fill_the_queue(model):
    engine = Engine(runner=model, waiting_per_address=2)
    model.max_sequences = 1
    model.go.clear()
    first = ask(engine, "first", Visitor("0", "greedy"))
    until(lambda: model.joined)
    waiting = [ask(engine, f"{number}", Visitor(f"{number}", "greedy")) for number in (1, 2)]
    with pytest.raises(QueueFull, match="Too many people"):
        ask(engine, "3", Visitor("3", "greedy"))
    waiting.append(ask(engine, "other", Visitor("3", "other")))
    model.go.set()
    assert [generation.result().text for generation in [first, *waiting]] == ["first", "1", "2", "other"]
    engine.close()


def test_a_session_runs_one_at_a_time_and_strangers_run_together(engine, model):
    model.go.clear()
    own = [ask(engine, "own 0", "me")]
    until(lambda: model.joined == ["own 0"])
    own += [ask(engine, f"own {number}", "me") for number in (1, 2)]
    others = [ask(engine, f"other {number}") for number in range(4)]
    model.go.set()
    for generation in [*own, *others]:
        generation.result()
    assert model.joined.index("own 1") > max(model.joined.index(f"other {number}") for number in range(4))


def test_who_is_still_being_read_in_holds_nobody_up(engine, model, monkeypatch):
    """Images are decoded and questions tokenized by those who ask, outside of every lock."""
    inside, go = threading.Barrier(3), threading.Event()

    def held_up(function, is_meant):
        def slow(*args):
            if is_meant(*args):
                inside.wait(10)
                go.wait(10)
            return function(*args)

        return slow

    monkeypatch.setattr(model, "prepare", held_up(model.prepare, lambda turns, *_: turns[-1]["text"] == "long"))
    monkeypatch.setattr(intake, "load", held_up(intake.load, lambda source: source.width > 100))
    slow = [
        threading.Thread(target=engine.answer, args=(image, text))
        for image, text in ((IMAGE, "long"), (IMAGE.resize((200, 200)), "large"))
    ]
    for thread in slow:
        thread.start()
    inside.wait(10)
    assert engine.answer(IMAGE, "short").text == "short"
    assert all(thread.is_alive() for thread in slow)
    go.set()
    for thread in slow:
        thread.join()


def test_a_full_queue_refuses_at_once_and_kindly(model):
    model.max_sequences = 1
    engine = Engine(runner=model, waiting_per_session=2, max_waiting=4)
    model.go.clear()
    kept = [ask(engine, "first", "a")]
    until(lambda: model.joined)
    kept += [ask(engine, "second", "a"), ask(engine, "third", "a")]
    with pytest.raises(QueueFull, match="your requests are waiting"):
        ask(engine, "fourth", "a")
    kept += [ask(engine, "b", "b"), ask(engine, "nameless")]
    with pytest.raises(QueueFull, match="Too many people"):
        ask(engine, "c", "c")
    assert engine.status().waiting == 4 and engine.status().running == 1
    kept[1].cancel()
    assert kept[1].result().finish_reason == "cancelled" and kept[1].result().text == ""
    kept.append(ask(engine, "c", "c"))
    model.go.set()
    assert [generation.result().text for generation in kept] == ["first", "", "third", "b", "nameless", "c"]
    engine.close()


def test_nobody_waits_where_nobody_else_is(model):
    engine = Engine(runner=model)
    assert next(iter(ask(engine, "alone"))).position is None
    engine.close()


def test_an_answer_is_quick_where_the_model_is_there_and_nobody_waits(model):
    model.max_sequences = 1
    engine = Engine(runner=model)
    assert not engine.quick()
    engine.load()
    assert engine.quick()
    model.go.clear()
    running = ask(engine, "first")
    until(lambda: "first" in model.joined)
    assert not engine.quick()
    model.go.set()
    running.result()
    assert engine.quick() and not engine.quick(seconds=0.0)
    engine.close()


def test_who_waits_is_told_the_position_in_the_queue(model):
    model.max_sequences = 1
    engine = Engine(runner=model)
    engine.answer(IMAGE, "to measure a rate")
    model.go.clear()
    first, second = ask(engine, "first"), ask(engine, "second")
    until(lambda: "first" in model.joined)
    partials = second.partials()
    waiting = next(partials)
    assert waiting.position.number == 1 and waiting.position.seconds > 0 and waiting.text == ""
    assert engine.status().position.number == 2 and "if you ask now, you are 2nd" in str(engine.status())
    model.go.set()
    *_, last = partials
    assert engine.status().position is None and "ask now" not in str(engine.status())
    assert last.position is None and last.timings.queue > 0 and first.result().finish_reason == "stop"
    assert str(Position(7, 4.2)) == "you are 7th, about 4 s" and str(Position(22, None)) == "you are 22nd"
    assert str(Position(11, 0.1)) == "you are 11th, about 1 s"
    engine.close()
