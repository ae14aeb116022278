"""Answers of a model on another machine: pieces, probabilities, boxes, given answers, images in their places."""

import asyncio
import base64
import io
import math
import threading

import pytest
from PIL import Image

from tests.remote_requests import IMAGE, TEXT, ask, request
from vlm_demo.backends.selection import choose
from vlm_demo.dialects import dialect_of
from vlm_demo.results import EngineError, Message, Request, SamplingParameters


def test_an_answer_streams_piece_by_piece(serve):
    backend, server = serve()
    partials = list(ask(backend).partials(interval=0))
    assert [partial.text for partial in partials] == ["", "two", "two cats", "two cats on", "two cats on a", TEXT, TEXT]
    assert [partial.finish_reason for partial in partials] == ["running"] * 6 + ["stop"]
    last = partials[-1]
    assert (last.model, last.prompt, last.prompt_tokens, last.new_tokens) == ("the lab", "[VQA] how many cats?", 99, 6)
    assert last.timings.prefill > 0 and last.seed is None


def test_an_answer_streams_into_an_event_loop(serve):
    backend, _ = serve()

    async def read():
        return [partial.text async for partial in ask(backend).updates(interval=0)]

    assert asyncio.run(read())[-2:] == [TEXT, TEXT]


def test_many_answers_are_read_in_one_thread(serve):
    backend, server = serve(("stall later",) * 8, model="small-vlm")

    async def read():
        return [partial async for partial in ask(backend).updates(interval=0)][-1].text

    async def read_all():
        answers = [asyncio.create_task(read()) for _ in range(8)]
        while server.running < 8:
            await asyncio.sleep(0.01)
        new = [one.name for one in set(threading.enumerate()) - before if "process_request" not in one.name]
        server.go.set()
        return new, await asyncio.gather(*answers)

    before = set(threading.enumerate())
    assert asyncio.run(read_all()) == (["answers of the lab"], [TEXT] * 8)


def test_images_travel_as_data_and_settings_as_openai_has_them(serve):
    backend, server = serve()
    messages = (
        Message("user", (IMAGE, IMAGE, "how many?")),
        Message("assistant", ("two",)),
        Message("user", ("dogs?",)),
    )
    sampling = SamplingParameters(0.7, 0.9, 30, 5, ("\n",))
    result = backend.stream(Request("vqa", messages, sampling)).result()
    (body,) = server.bodies
    assert body["model"] == "small-vlm", "the first one that the server has"
    assert [part["type"] for part in body["messages"][0]["content"]] == ["image_url", "image_url", "text"]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    head, data = body["messages"][0]["content"][0]["image_url"]["url"].split(",")
    assert head == "data:image/jpeg;base64" and Image.open(io.BytesIO(base64.b64decode(data))).size == (64, 48)
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["seed"], body["stop"]) == (
        0.7, 0.9, 30, 5, ["\n"],
    )  # fmt: skip
    assert body["stream"] is True and result.seed == 5


def test_probabilities_are_shown_where_the_server_tells_them(serve):
    backend, server = serve(
        (),
    )
    result = ask(backend).result()
    assert "".join(token.text for token in result.tokens) == result.text
    assert result.confidence == pytest.approx(math.exp(-0.1))
    assert result.tokens[1].alternatives == [(" cats", math.exp(-0.1)), (" dogs", math.exp(-3.0))]
    server.plan.append("plain")
    assert ask(backend).result().tokens == []


def test_a_server_that_knows_no_probabilities_is_asked_without(serve):
    backend, server = serve(("no logprobs", "no logprobs", "no logprobs"))
    assert ask(backend).result().text == TEXT and len(server.bodies) == 2
    assert ask(backend).result().text == TEXT and len(server.bodies) == 3, "and that is remembered"


def test_an_answer_that_was_too_long_says_so(serve):
    backend, _ = serve(("long",))
    assert ask(backend).result().finish_reason == "length"


def test_an_answer_begins_without_a_blank(serve, monkeypatch):
    monkeypatch.setattr("standin_server.ANSWER", [" two", " cats"])
    result = ask(serve()[0]).result()
    assert result.text == "two cats" and [token.text for token in result.tokens] == ["two", " cats"]


def test_models_are_read_from_the_server(serve):
    backend, _ = serve()
    assert backend.models() == ["small-vlm", "other"]


def test_boxes_are_read_as_the_family_writes_them(serve, monkeypatch):
    import standin_server

    monkeypatch.setattr(standin_server, "ANSWER", ['[{"bbox_2d": [0, 0, 500, 500],', ' "label": "cat"}]'])
    backend, server = serve(dialect=dialect_of("qwen3_vl"))
    result = backend.stream(request("detect", "")).result()
    assert result.parsed.objects[0]["bbox"] == [0, 0, 0.5, 0.5] and result.parsed.size == (64, 48)


@pytest.mark.parametrize(
    ("family", "message"), [("smolvlm", "cannot write boxes"), ("qwen2_5_vl", "counts boxes in pixels")]
)
def test_boxes_that_cannot_be_had_are_refused(serve, family, message):
    backend, server = serve(dialect=dialect_of(family))
    with pytest.raises(EngineError, match=message):
        backend.stream(request("detect", ""))
    assert server.bodies == []


def test_a_server_keeps_to_given_answers_where_it_can(serve, monkeypatch):
    monkeypatch.setattr("standin_server.ANSWER", ["two"])
    backend, server = serve()
    assert ask(backend, choices=("two", "three")).result().text == "two"
    assert server.bodies[0]["structured_outputs"] == {"choice": ["two", "three"]}
    scores = choose([ask(backend, choices=("two",))])
    assert scores == [1.0] and backend.capabilities.choices
    server.plan.append("plain")
    with pytest.raises(EngineError, match="the lab does not tell how probable its answers are"):
        choose([ask(backend, choices=("two",))])


@pytest.mark.parametrize("behaviour", ["answer", "no choices"])
def test_a_server_that_does_not_keep_to_given_answers_is_asked_no_more(serve, behaviour):
    backend, server = serve((behaviour,))
    assert backend.capabilities.choices, "nothing is known yet"
    for _ in range(2):
        with pytest.raises(EngineError, match="the lab cannot choose among given answers"):
            ask(backend, choices=("two", "three")).result()
    assert len(server.bodies) == 1 and not backend.capabilities.choices and backend.capabilities.probabilities
    assert ask(backend).result().text == TEXT


def test_images_go_where_the_chat_mentions_them(serve):
    backend, server = serve()
    message = Message("user", ("before", IMAGE, "between", IMAGE, "after"))
    backend.stream(Request("vqa", (message,))).result()
    (sent,) = server.bodies[0]["messages"]
    assert [part.get("text", part["type"]) for part in sent["content"]] == [
        "before", "image_url", "between", "image_url", "after",
    ]  # fmt: skip
