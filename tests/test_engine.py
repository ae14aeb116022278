"""The engine on a scripted model: streams, Stop, fairness, refusals, failures, shutting down."""

import asyncio
import gc
import subprocess
import sys
import threading

import pytest

from tests.scripted import PICTURE, Bytes, ask, held, until
from vlm_demo.engine import Engine, EngineError, QueueFull, SamplingParameters, get_engine, intake, scheduler
from vlm_demo.engine import engine as engine_module
from vlm_demo.results import Position, Visitor

LONG = "la " * 2000


@pytest.fixture
def model():
    return Bytes()


@pytest.fixture
def engine(model):
    engine = Engine(runner=model, waiting_per_session=3, max_waiting=6)
    yield engine
    model.go.set()
    engine.close(grace=0.2)


def test_a_whole_answer(engine):
    result = engine.answer([PICTURE, PICTURE], "red dog")
    assert (result.text, result.finish_reason, result.task, result.model) == ("red dog", "stop", "vqa", "bytes")
    assert result.prompt == "[VQA] red dog" and result.prompt_tokens == 7 and result.new_tokens == 8
    assert result.confidence == pytest.approx(0.5) and result.tokens[0].alternatives == [("r", 0.5), ("x", 0.1)]
    assert result.outside and result.novelty == [2.0, 2.0]
    assert result.timings.decode > 0


def test_a_stream_grows_and_ends_with_the_result(engine, model):
    model.stops = {9, 99}
    unseen = {10, 100}  # tokens at the stops, one of them from reading the prompt
    partials = []
    for partial in ask(engine, "one two three " * 20).partials(interval=0):
        partials.append(partial)
        if partial.new_tokens in unseen:
            unseen.remove(partial.new_tokens)
            until(lambda: held(model))
            model.go.set()
    assert not unseen
    texts = [partial.text for partial in partials]
    assert all(after.startswith(before) for before, after in zip(texts, texts[1:], strict=False))
    assert {partial.finish_reason for partial in partials[:-1]} == {"running"} and partials[-1].finish_reason == "stop"
    assert (
        "".join(token.text for token in partials[-1].tokens)
        == partials[-1].text
        == "one two three " * 19 + ("one two three")
    )


def test_those_who_wait_in_an_event_loop_hold_no_thread(engine, model):
    model.stops = {9}

    async def read(text):
        texts = []
        async for partial in ask(engine, text).updates(interval=0):
            texts.append(partial.text)
            threads.add(threading.active_count())
            if partial.new_tokens > 5:
                model.go.set()
        return texts

    async def all_of_them():
        return await asyncio.gather(*map(read, questions))

    questions, threads = [letter * 30 for letter in "abcdef"], set()
    engine.load()
    before = threading.active_count()
    for question, texts in zip(questions, asyncio.run(all_of_them()), strict=True):
        assert texts[0] == "" and texts[-1] == question
        assert all(after.startswith(before) for before, after in zip(texts, texts[1:], strict=False))
    assert threads == {before}


def test_characters_of_several_bytes_are_never_shown_broken(engine):
    text = "ein Käfer 🐞 und ein großer 猫"
    partials = list(ask(engine, text).partials(interval=0))
    assert partials[-1].text == text and not any("\ufffd" in partial.text for partial in partials)
    assert "".join(token.text for token in partials[-1].tokens) == text
    cut = engine.answer(PICTURE, "🐞🐞", settings=SamplingParameters(max_new_tokens=6))
    assert (cut.text, cut.finish_reason, len(cut.tokens)) == ("🐞", "length", 6)


def test_boxes_are_parsed_when_the_answer_is_json(engine):
    json = '{"objects": [{"label": "dog", "bbox": [0.25, 0.25, 0.5, 0.5], "image": 2}]}'
    result = engine.compare([PICTURE, PICTURE], json)
    assert result.parsed.detections.xyxy[0].tolist() == [16, 12, 48, 36]
    assert result.parsed.objects[0]["confidence"] == pytest.approx(0.5**3)
    assert engine.compare([PICTURE, PICTURE], "a dog was added").parsed is None
    assert engine.compare([PICTURE, PICTURE], "boxes").prompt == "[COMPARE] Box what changed."
    assert engine.detect(PICTURE).parsed is not None


def test_a_box_becomes_a_question_in_the_models_own_numbers(engine):
    asked = engine.describe_box(PICTURE, [0.101, 0.2, 1.2, 0.33])
    assert asked.text == "What is in the box [0.100, 0.200, 0.900, 0.330]?" and asked.task == "vqa"


def test_stop_ends_within_one_token_and_hurts_nobody(engine, model):
    model.go.clear()
    stopped = ask(engine, LONG)
    until(lambda: model.joined)
    other = ask(engine, "x" * 300)
    model.stops = {3}
    model.go.set()
    until(lambda: held(model))
    written = len(stopped._request.sequence.outputs)
    stopped.cancel()
    model.go.set()
    result = stopped.result()
    assert result.new_tokens == written + 1
    until(lambda: stopped._request.sequence in model.released)
    assert result.finish_reason == "cancelled" and result.text and LONG.startswith(result.text)
    assert other.result().text == "x" * 300


def test_stop_takes_no_further_step(engine, model):
    model.go.clear()
    generation = ask(engine, LONG)
    until(lambda: model.joined)
    generation.cancel()
    model.go.set()
    assert generation.result().new_tokens <= 2 and model.steps <= 1


def test_a_stop_text_ends_the_answer_before_it(engine):
    result = engine.answer(PICTURE, "red dog on a red mat", settings=SamplingParameters(stop=("og", "mat")))
    assert (result.text, result.finish_reason, result.new_tokens) == ("red d", "stop", 7)
    assert "".join(token.text for token in result.tokens) == result.text
    assert engine.answer(PICTURE, "red dog", settings=SamplingParameters(stop=("cat",))).text == "red dog"
    assert engine.answer(PICTURE, "red dog", settings=SamplingParameters(stop=("red",))).text == ""


def test_a_stop_text_is_never_shown_and_taken_back(engine, model):
    model.stops = {5}  # when "red do" has been written
    generation = engine.answer_stream(PICTURE, "red dog", settings=SamplingParameters(stop=("dog",)))
    until(lambda: held(model))
    assert next(generation.partials()).text == "red "
    model.stops = {5}
    model.go.set()
    other = engine.answer_stream(PICTURE, "red door", settings=SamplingParameters(stop=("dog",)))
    assert generation.result().text == "red " and other.result().text == "red door"


def test_a_stop_text_is_that_of_one_request_even_where_a_row_is_shared(engine, model):
    text = "same words, and more of them"
    model.stops = {20}
    whole = ask(engine, text, "a")
    until(lambda: held(model))
    late = engine.answer_stream(PICTURE, text, settings=SamplingParameters(stop=(",",)), session="b")
    model.go.set()
    assert late.result().text == "same words" and whole.result().text == text
    assert len(model.joined) == 1


@pytest.mark.parametrize("how", ["break", "close", "aclose", "drop"])
def test_an_abandoned_stream_is_cancelled(engine, model, how):
    model.go.clear()
    generation = ask(engine, LONG)
    request = generation._request
    if how == "break":
        for _ in generation:
            break
    elif how == "close":
        partials = iter(generation)
        next(partials)
        partials.close()
    elif how == "aclose":

        async def leave():
            updates = generation.updates()
            await anext(updates)
            await updates.aclose()

        asyncio.run(leave())
    else:
        del generation
        gc.collect()
    model.go.set()
    until(request.done.is_set)
    assert request.finish_reason == "cancelled" and len(request.sequence.outputs) <= 2


def test_a_result_that_says_how_it_ended_has_its_boxes(engine, model):
    model.go.clear()
    generation = engine.detect_stream(PICTURE)
    request, seen = generation._request, []
    real = request.done.set
    request.done.set = lambda: (seen.append(next(generation.partials())), real())
    model.go.set()
    assert generation.result().parsed is not None
    assert all(partial.finish_reason == "running" or partial.parsed is not None for partial in seen)


def test_what_is_collected_while_it_is_being_cancelled_blocks_nobody(engine, model):
    model.go.clear()
    running, waiting = ask(engine, "first", "a"), ask(engine, "second", "a")
    request = waiting._request
    lap = request.lap
    request.lap = lambda: (request.cancel(), lap())[1]  # the garbage collector may run at any moment
    thread = threading.Thread(target=waiting.cancel, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive() and waiting.result().finish_reason == "cancelled"
    model.go.set()
    assert running.result().text == "first"


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
        for image, text in ((PICTURE, "long"), (PICTURE.resize((200, 200)), "large"))
    ]
    for thread in slow:
        thread.start()
    inside.wait(10)
    assert engine.answer(PICTURE, "short").text == "short"
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


def test_who_waits_is_told_the_position_in_the_queue(model):
    model.max_sequences = 1
    engine = Engine(runner=model)
    engine.answer(PICTURE, "to measure a rate")
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


def test_the_same_greedy_request_is_computed_once_and_each_ends_on_its_own(engine, model):
    text = "same " * 300
    model.stops = {20}
    first = ask(engine, text, "a")
    until(lambda: held(model))
    short, stopped, whole = ask(engine, text, "b", tokens=7), ask(engine, text, "c"), ask(engine, text, "d")
    sampled = engine.answer_stream(
        PICTURE, text, settings=SamplingParameters(temperature=1.0, max_new_tokens=9), session="e"
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
    engine.answer(PICTURE, "x" * 100)  # to measure the speed: two such prompts take 0.2 s
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
    results = [engine.answer(PICTURE, text, settings=settings) for text in ("this takes much", "same takes much")]
    assert [result.text for result in results] == ["this takes much", "same takes much"]
    assert {result.reduced for result in results} == {"half the length was tried"}
    with pytest.raises(EngineError, match="out of memory. Free memory or try a shorter request"):
        engine.answer(PICTURE, "this takes much", settings=SamplingParameters(max_new_tokens=100))
    assert [other.result().text for other in others] == ["others others others"] * 2
    after = engine.answer(PICTURE, "after")
    assert (after.text, after.reduced) == ("after", "")


def test_an_answer_that_runs_out_of_memory_keeps_what_it_has(engine, model):
    model.stops = {3}
    generation = ask(engine, LONG)
    until(lambda: held(model))
    model.trouble = RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
    model.go.set()
    result = generation.result()
    assert result.text == LONG[:4] and result.finish_reason == "length" and "memory ran out" in result.reduced
    assert engine.answer(PICTURE, "after").text == "after"


def test_the_worker_survives_what_should_kill_it(engine, model):
    model.stops = {3}
    generation = ask(engine, LONG)
    until(lambda: held(model))
    model.trouble = SystemExit("the end")
    model.go.set()
    with pytest.raises(EngineError, match="try again"):
        generation.result()
    assert engine.answer(PICTURE, "still there").text == "still there"


def test_a_model_that_does_not_load_is_told_and_tried_again(engine, model):
    real, model.load = model.load, lambda: (_ for _ in ()).throw(OSError("disk"))
    with pytest.raises(EngineError, match="could not be loaded.*disk"):
        engine.answer(PICTURE, "hello")
    model.load = real
    assert engine.answer(PICTURE, "hello").text == "hello"


def test_a_call_that_ends_while_the_engine_closes_has_not_failed(engine, monkeypatch):
    """The future ends, and the worker with it, after the one who waits has looked and before the next look."""

    go = threading.Event()

    class Late(scheduler.Future):
        looks = 0

        def done(self):
            before = super().done()
            self.looks += 1
            if self.looks == 2:
                go.set()
                engine.close(grace=10)
            return before

    monkeypatch.setattr(scheduler, "Future", Late)
    monkeypatch.setattr(scheduler, "wait", lambda futures, timeout: None)
    assert engine._scheduler.call(go.wait)


def test_unload_waits_for_who_runs_and_the_next_use_loads_again(engine, model):
    model.stops = {3}
    generation = ask(engine, "x" * 200)
    until(lambda: held(model))
    freeing = threading.Thread(target=engine.unload)
    freeing.start()
    until(lambda: engine._scheduler._calls)
    assert model.loaded
    model.go.set()
    freeing.join()
    assert generation.done and generation.result().finish_reason == "stop" and not model.loaded
    assert "not loaded" in str(engine.status())
    assert engine.answer(PICTURE, "again").text == "again" and model.loads == 2
    assert str(engine.status()).startswith("bytes · 3.0 M parameters · cpu float32 · 12 MB in use, 16 MB reserved")


def test_nobody_joins_while_memory_is_being_freed(engine, model):
    model.go.clear()
    running = ask(engine, "running")
    until(lambda: model.joined)
    freeing = threading.Thread(target=engine.unload)
    freeing.start()
    until(lambda: engine._scheduler._calls)
    late = ask(engine, "late")
    model.go.set()
    freeing.join()
    assert running.result().text == "running" and late.result().text == "late" and model.loads == 2


def test_load_loads_and_novelty_is_measured(engine, model):
    engine.load()
    assert model.loaded and engine.status().loaded and engine.novelty(PICTURE).outside


def test_close_is_final_and_does_not_wait_for_a_model_that_hangs(engine, model):
    model.stops = {3}
    running = ask(engine, LONG, "a")
    waiting = ask(engine, "next", "a")
    until(lambda: held(model))
    engine.close(grace=0.2)
    assert not running.done and model.loaded  # it still runs: its memory is freed when it has ended
    model.go.set()
    until(lambda: not model.loaded)
    assert running.result().finish_reason == waiting.result().finish_reason == "cancelled" and running.result().text
    for call in (lambda: ask(engine, "more"), engine.load):
        with pytest.raises(EngineError, match="shut down"):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda engine: engine.answer([], "what?"), "1 to 8 images"),
        (lambda engine: engine.answer([PICTURE] * 9, "what?"), "1 to 8 images"),
        (lambda engine: engine.compare([PICTURE]), "2 to 4 images"),
        (lambda engine: engine.answer(PICTURE, "  "), "type a question"),
        (lambda engine: engine.answer(PICTURE, "x" * 100_000), "characters"),
        (lambda engine: engine.describe_box(PICTURE, [0.5, 0.5, 0.0, 0.1]), "width and a height"),
        (lambda engine: engine.describe_box(PICTURE, "cat"), "four numbers"),
        (lambda engine: engine.caption(PICTURE, "poetic"), "brief, detailed, alt"),
        (lambda engine: engine.answer(PICTURE, "and?", [("a dog?", None)]), "pairs of texts"),
        (lambda engine: engine.caption(None), "choose an image"),
        (lambda engine: engine.caption(b"not a picture"), "."),
        (lambda engine: engine.caption(PICTURE, settings=SamplingParameters(temperature=-1)), "Temperature"),
        (lambda engine: engine.caption(PICTURE, settings=SamplingParameters(temperature=float("nan"))), "Temperature"),
        (lambda engine: engine.caption(PICTURE, settings=SamplingParameters(top_p=0)), "Top-p"),
        (lambda engine: engine.caption(PICTURE, settings=SamplingParameters(max_new_tokens=0)), "length"),
        (lambda engine: engine.caption(PICTURE, settings=SamplingParameters(stop=("",))), "none of them empty"),
    ],
)
def test_bad_calls_are_refused_before_anything_is_queued(engine, model, call, message):
    with pytest.raises(EngineError, match=message):
        call(engine)
    assert model.joined == [] and not model.loaded


def test_the_process_has_one_engine(model, monkeypatch):
    monkeypatch.setattr(engine_module, "_engine", None)
    with_model = get_engine(lambda: Engine(runner=model))
    assert get_engine() is with_model and with_model.runner is model


def test_importing_the_engine_loads_no_model_library():
    code = "import sys, vlm_demo.engine as e; e.Engine(); print({'torch', 'transformers'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
