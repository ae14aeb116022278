"""What is written together: shared sequences, joining, failures, and memory that runs out."""

import pytest

from tests.scripted import IMAGE, LONG, Bytes, ask, held, until
from vlm_demo.engine import Engine, EngineError, SamplingParameters, scheduler


def test_the_same_greedy_request_is_computed_once_and_each_ends_on_its_own(engine, model):
    text = "same " * 300
    model.stops = {20}
    first = ask(engine, text, "a")
    until(lambda: held(model))
    short, stopped, whole = ask(engine, text, "b", tokens=7), ask(engine, text, "c"), ask(engine, text, "d")
    sampled = engine.answer_stream(
        IMAGE, text, settings=SamplingParameters(temperature=1.0, max_new_tokens=9), session="e"
    )
    model.stops = {40}
    model.go.set()
    assert short.result().text == text[:7].strip() and short.result().finish_reason == "length"
    until(lambda: held(model))
    stopped.cancel()
    model.go.set()
    partly = stopped.result()
    assert partly.finish_reason == "cancelled" and partly.new_tokens == 42 and text.startswith(partly.text)
    assert first.result().text == whole.result().text == text.strip() and whole.result().new_tokens == len(text)
    assert sampled.result().new_tokens == 9
    assert model.joined == [text.strip()] * 2  # one for all who are greedy, one for the one who samples
    until(lambda: len(model.released) == 2)


def test_the_one_who_came_first_may_leave_and_the_others_go_on(engine, model):
    text = "same " * 300
    model.stops = {5}
    first = ask(engine, text)
    until(lambda: held(model))
    second = ask(engine, text)
    model.stops = {10}
    model.go.set()
    until(lambda: held(model) and second._request.outputs)
    first.cancel()
    model.go.set()
    assert second.result().text == text.strip() and first.result().new_tokens < len(text)
    until(lambda: len(model.released) == 1)


def test_newcomers_do_not_stall_those_who_are_writing(model):
    model.reading = 0.001
    engine = Engine(runner=model)
    engine.answer(IMAGE, "x" * 100)  # to measure the speed: two such prompts take 0.2 s
    model.max_sequences = 40
    model.prefills.clear()
    model.go.clear()
    before = ask(engine, "y" * 100)
    until(lambda: model.prefills)
    crowd = [ask(engine, f"{number:0100}") for number in range(10)]
    model.go.set()
    assert all(generation.result().text for generation in [before, *crowd])
    assert max(model.prefills) <= 3 and sum(model.prefills) == 11
    engine.close()


def test_behind_a_long_line_they_join_in_groups(monkeypatch):
    monkeypatch.setattr(scheduler, "PAUSE", 60)
    model = Bytes(max_sequences=8)
    engine = Engine(runner=model, max_waiting=20)
    model.stops = {0}
    first = [ask(engine, "la" * (2 + number), f"first {number}") for number in range(8)]
    until(lambda: held(model) and engine.status().running + engine.status().waiting == 8)
    model.stops = {1}
    model.go.set()
    until(lambda: held(model) and engine.status().waiting == 0)  # all of the first have joined
    begun = len(model.prefills)
    others = [ask(engine, f"other {number}", f"other {number}") for number in range(7)]
    model.go.set()
    assert all(one.result().finish_reason == "stop" for one in [*first, *others])
    joined = model.prefills[begun:]
    assert sum(joined) == 7 and min(joined[:-1]) >= 2  # alone only if nobody else waits
    engine.close()


def test_a_free_row_is_not_held_for_long(monkeypatch):
    monkeypatch.setattr(scheduler, "PAUSE", 0.05)
    model = Bytes(max_sequences=8)
    engine = Engine(runner=model, max_waiting=20)
    running = [ask(engine, LONG, f"long {number}") for number in range(7)]
    until(lambda: engine.status().running == 7)
    running.append(ask(engine, "short and then gone", "short"))
    waiting = [ask(engine, "next", f"next {number}") for number in range(2)]
    assert all(one.result().text == "next" for one in waiting) and not any(one.done for one in running[:7])
    for one in running:
        one.cancel()
    engine.close()


@pytest.mark.parametrize(("bad", "message"), [("bad prefill", "out of memory"), ("bad step", "boom")])
def test_a_request_that_fails_fails_alone(engine, model, bad, message):
    model.go.clear()
    before = [ask(engine, "before " * 3) for _ in range(2)]
    failing = ask(engine, bad)
    after = [ask(engine, "after " * 3) for _ in range(2)]
    model.go.set()
    with pytest.raises(EngineError, match=message):
        failing.result()
    with pytest.raises(EngineError, match=message):
        list(failing)
    assert [one.result().text for one in before + after] == ["before before before"] * 2 + ["after after after"] * 2
    until(lambda: failing._request.sequence in model.released)


def test_what_takes_too_much_memory_is_tried_once_more_with_less_and_says_so(engine, model):
    model.room = 40
    others = [ask(engine, "others " * 3) for _ in range(2)]
    settings = SamplingParameters(max_new_tokens=80)
    results = [engine.answer(IMAGE, text, settings=settings) for text in ("this takes much", "same takes much")]
    assert [result.text for result in results] == ["this takes much", "same takes much"]
    assert {result.reduced for result in results} == {"half the length was tried"}
    with pytest.raises(EngineError, match="out of memory. Free memory or try a shorter request"):
        engine.answer(IMAGE, "this takes much", settings=SamplingParameters(max_new_tokens=100))
    assert [other.result().text for other in others] == ["others others others"] * 2
    after = engine.answer(IMAGE, "after")
    assert (after.text, after.reduced) == ("after", "")


def test_an_answer_that_runs_out_of_memory_keeps_what_it_has(engine, model):
    model.stops = {3}
    generation = ask(engine, LONG)
    until(lambda: held(model))
    model.trouble = RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
    model.go.set()
    result = generation.result()
    assert result.text == LONG[:4] and result.finish_reason == "length" and "memory ran out" in result.reduced
    assert engine.answer(IMAGE, "after").text == "after"


def test_the_worker_survives_what_should_kill_it(engine, model):
    model.stops = {3}
    generation = ask(engine, LONG)
    until(lambda: held(model))
    model.trouble = SystemExit("the end")
    model.go.set()
    with pytest.raises(EngineError, match="try again"):
        generation.result()
    assert engine.answer(IMAGE, "still there").text == "still there"
