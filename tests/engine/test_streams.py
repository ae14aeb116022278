"""Answers on their way: how they grow, how they end, and how they are stopped."""

import asyncio
import gc
import threading

import pytest

from tests.scripted import IMAGE, LONG, ask, held, until
from vlm_demo.engine import SamplingParameters


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
    cut = engine.answer(IMAGE, "🐞🐞", settings=SamplingParameters(max_new_tokens=6))
    assert (cut.text, cut.finish_reason, len(cut.tokens)) == ("🐞", "length", 6)


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
    result = engine.answer(IMAGE, "red dog on a red mat", settings=SamplingParameters(stop=("og", "mat")))
    assert (result.text, result.finish_reason, result.new_tokens) == ("red d", "stop", 7)
    assert "".join(token.text for token in result.tokens) == result.text
    assert engine.answer(IMAGE, "red dog", settings=SamplingParameters(stop=("cat",))).text == "red dog"
    assert engine.answer(IMAGE, "red dog", settings=SamplingParameters(stop=("red",))).text == ""


def test_a_stop_text_is_never_shown_and_taken_back(engine, model):
    model.stops = {5}  # when "red do" has been written
    generation = engine.answer_stream(IMAGE, "red dog", settings=SamplingParameters(stop=("dog",)))
    until(lambda: held(model))
    assert next(generation.partials()).text == "red "
    model.stops = {5}
    model.go.set()
    other = engine.answer_stream(IMAGE, "red door", settings=SamplingParameters(stop=("dog",)))
    assert generation.result().text == "red " and other.result().text == "red door"


def test_a_stop_text_is_that_of_one_request_even_where_a_row_is_shared(engine, model):
    text = "same words, and more of them"
    model.stops = {20}
    whole = ask(engine, text, "a")
    until(lambda: held(model))
    late = engine.answer_stream(IMAGE, text, settings=SamplingParameters(stop=(",",)), session="b")
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
    generation = engine.detect_stream(IMAGE)
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
