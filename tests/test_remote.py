"""A model on other machines: streams, ends, fails and comes back as a person would wish."""

import asyncio
import base64
import io
import logging
import math
import threading
import time

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.utils._http import default_client_factory
from PIL import Image
from standin_server import ANSWER, StandIn

from tests.scripted import Bytes
from vlm_demo.backends.remote import RemoteBackend, open_remote
from vlm_demo.backends.selection import choose
from vlm_demo.dialects import dialect_of
from vlm_demo.engine import Engine
from vlm_demo.images import load
from vlm_demo.results import EngineError, Message, Request, SamplingParameters

IMAGE = load(Image.new("RGB", (64, 48), "navy"))
TEXT = "".join(ANSWER)
KEY = "sk-very-secret"


@pytest.fixture
def serve(monkeypatch):
    """Makes servers and what talks to them; retries do not wait long."""
    monkeypatch.setattr("vlm_demo.backends.remote.answer.BACKOFF", 0.01)
    open_ones = []

    def make(*plans, **options):
        servers = [StandIn(*plan) for plan in plans or [()]]
        backend = RemoteBackend(
            "the lab", [server.url for server in servers], **{"read_seconds": 5, "probe_seconds": 0.05, **options}
        )
        open_ones.extend([*servers, backend])
        return backend, *servers

    yield make
    for one in open_ones:
        one.close()


def request(task="vqa", text="how many cats?", images=(IMAGE,), **sampling):
    return Request(task, (Message("user", (*images, text)),), SamplingParameters(**sampling))


def ask(backend, **sampling):
    return backend.stream(request(**sampling))


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


@pytest.mark.parametrize("behaviour", ["stall later", "answer"])
def test_cancelling_closes_the_connection_and_keeps_the_text(serve, behaviour):
    backend, server = serve((behaviour,))
    server.pause = 0.05 if behaviour == "answer" else 0
    answer = ask(backend)
    texts = []
    for partial in answer.partials(interval=0):
        texts.append(partial.text)
        if texts == ["", "two", "two cats"]:
            threading.Timer(0.05, answer.cancel).start()  # from another thread, while this one waits
            began = time.monotonic()
    assert partial.finish_reason == "cancelled" and partial.text.startswith("two cats") and partial.text != TEXT
    assert time.monotonic() - began < 2
    assert server.left.wait(5), "the server is told, and can stop"


def test_cancelling_before_the_first_piece(serve):
    backend, server = serve(("stall",), read_seconds=1)
    answer = ask(backend)
    threading.Timer(0.1, answer.cancel).start()
    assert [(partial.text, partial.finish_reason) for partial in answer.partials(interval=0)] == [
        ("", "running"),
        ("", "cancelled"),
    ]
    assert server.left.wait(5) and len(server.bodies) == 1, "a cancelled request is not sent again"


def test_who_presses_stop_does_not_wait_for_a_server_that_has_not_begun(serve):
    backend, server = serve(("stall",), read_seconds=30)
    answer = ask(backend)

    async def stop() -> list[tuple[str, str]]:
        seen = []
        async for result in answer.updates(interval=0):
            seen.append((result.text, result.finish_reason))
            if result.finish_reason == "running":
                while not server.bodies:
                    await asyncio.sleep(0.01)
                answer.cancel()
        return seen

    began = time.monotonic()
    assert asyncio.run(stop()) == [("", "running"), ("", "cancelled")]
    assert time.monotonic() - began < 20 and not server.go.is_set()


def test_a_server_that_never_ends_is_left(serve, monkeypatch):
    monkeypatch.setattr("vlm_demo.backends.remote.answer.MAX_TEXT", 5)
    backend, server = serve()
    server.pause = 0.05
    result = ask(backend).result()
    assert result.text == "two cats" and result.finish_reason == "length"


def test_what_nobody_expected_is_told_too(serve, monkeypatch):
    backend, _ = serve()
    monkeypatch.setattr(backend.servers, "model_on", lambda replica: [][0])

    async def wait() -> None:
        async for _ in ask(backend).updates(interval=0):
            pass

    with pytest.raises(EngineError, match="the lab could not be understood: IndexError"):
        asyncio.run(wait())


def test_an_answer_begins_without_a_blank(serve, monkeypatch):
    monkeypatch.setattr("standin_server.ANSWER", [" two", " cats"])
    result = ask(serve()[0]).result()
    assert result.text == "two cats" and [token.text for token in result.tokens] == ["two", " cats"]


def test_a_servers_words_are_as_it_wrote_them_where_there_is_no_key(serve, monkeypatch):
    monkeypatch.delenv("VLM_DEMO_API_KEY", raising=False)
    backend, server = serve((400,))
    server.echo = "max-model-len is too small"
    with pytest.raises(EngineError, match="code 400 max-model-len is too small"):
        ask(backend).result()


def test_leaving_the_iteration_closes_the_connection(serve):
    backend, server = serve(("stall later",))
    for partial in ask(backend).partials(interval=0):
        if partial.text:
            break
    assert server.left.wait(5)
    assert [replica.busy for replica in backend.servers.replicas.all] == [0]


@pytest.mark.parametrize("trouble", [429, 500, "hang up"])
def test_what_may_pass_is_tried_again_before_the_first_piece(serve, trouble):
    backend, server = serve((trouble, trouble))
    assert ask(backend).result().text == TEXT
    assert len(server.bodies) == 3


def test_a_server_that_asks_for_patience_gets_it(serve):
    backend, server = serve((429,))
    server.retry_after = "0.3"
    began = time.monotonic()
    assert ask(backend).result().text == TEXT
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("die", "the lab broke off in the middle of its answer"),
        ("end", "the lab broke off in the middle of its answer"),
        ("no json", "the lab broke off in the middle of its answer"),
        ("no chunk", "the lab broke off in the middle of its answer"),
        ("error", "the lab broke off in the middle of its answer"),
    ],
)
def test_nothing_is_asked_twice_once_something_is_written(serve, behaviour, message):
    backend, server = serve((behaviour,))
    texts = []
    with pytest.raises(EngineError, match=message):
        for partial in ask(backend).partials(interval=0):
            texts.append(partial.text)
    assert texts == ["", "two", "two cats"], "what was written has been shown"
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("status", "requests", "message"),
    [
        (400, 1, "the lab refuses this request: code 400 too many images"),
        (404, 1, "the lab refuses this request: code 404"),
        (401, 1, "the lab refuses our key"),
        (500, 4, "the lab failed: code 500 too many images"),
        (429, 4, "the lab has too much to do"),
    ],
)
def test_the_servers_own_error_is_told(serve, status, requests, message):
    backend, server = serve((status,) * 9)
    server.echo = "too many images"
    with pytest.raises(EngineError, match=message):
        ask(backend).result()
    assert len(server.bodies) == requests


def test_a_slow_server_is_given_up(serve):
    backend, server = serve(("stall",), read_seconds=0.2)
    backend.servers._model = "small-vlm"
    began = time.monotonic()
    with pytest.raises(EngineError, match="the lab took too long to answer"):
        ask(backend).result()
    assert time.monotonic() - began < 3 and len(server.bodies) == 1


def test_a_server_that_is_not_there(serve):
    backend, server = serve()
    server.close()
    with pytest.raises(EngineError, match="the lab cannot be reached"):
        ask(backend).result()
    with pytest.raises(EngineError, match="the lab cannot be reached"):
        backend.models()


def test_models_are_read_from_the_server(serve):
    backend, _ = serve()
    assert backend.models() == ["small-vlm", "other"]


def test_the_least_busy_server_is_chosen(serve):
    backend, first, second = serve((), ())
    first.pause = second.pause = 0.02
    threads = [threading.Thread(target=lambda: ask(backend).result()) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(first.bodies) == len(second.bodies) == 4
    assert [replica.busy for replica in backend.servers.replicas.all] == [0, 0]


@pytest.fixture
def two_connections():
    """huggingface_hub holds a hundred connections at most; a test makes do with two."""
    limits = httpx2.Limits(max_connections=2)
    huggingface_hub.set_client_factory(lambda: httpx2.Client(limits=limits, timeout=None))
    yield
    huggingface_hub.set_client_factory(default_client_factory)


def test_who_finds_all_connections_taken_waits_and_is_not_given_up(serve, two_connections):
    backend, server = serve(read_seconds=2, model="small-vlm")
    server.pause = 0.5  # which makes an answer longer than the time between two pieces may be
    finished = []
    threads = [threading.Thread(target=lambda: finished.append(ask(backend).result().text)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert finished == [TEXT] * 4 and server.most == 2


def test_a_dead_server_is_left_out_until_it_answers_again(serve):
    backend, first, second = serve((), ())
    first.close()
    for _ in range(6):
        assert ask(backend).result().text == TEXT, "nobody notices"
    assert len(second.bodies) == 6 and backend.servers.replicas.all[0].dead
    back = StandIn(port=first.port)
    deadline = time.monotonic() + 10
    while backend.servers.replicas.all[0].dead:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert ask(backend).result().text == TEXT and len(back.bodies) == 1
    back.close()


def test_the_key_is_sent_and_never_seen(serve, monkeypatch, caplog):
    monkeypatch.setenv("VLM_DEMO_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    backend, server = serve((400, "answer"))
    server.echo = f"the key {KEY} may not do that"
    with pytest.raises(EngineError) as caught:
        ask(backend).result()
    result = ask(backend).result()
    assert set(server.keys) == {f"Bearer {KEY}"}
    seen = [
        str(caught.value),
        repr(caught.value),
        repr(result),
        repr(vars(backend)),
        repr(vars(backend.servers)),
        caplog.text,
    ]
    assert not any(KEY in text for text in seen)
    assert "the key *** may not do that" in str(caught.value)
    error = caught.value
    assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)


def test_without_a_key_the_hubs_own_one_stays_here(serve, monkeypatch):
    monkeypatch.delenv("VLM_DEMO_API_KEY", raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    backend, server = serve()
    ask(backend).result()
    assert all("hf_secret" not in key for key in server.keys)


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


def test_servers_are_named_by_family_and_address(serve):
    backend, server = serve()
    remote = open_remote(f"qwen3_vl={server.url}, {server.url}/v1/")
    assert remote.name == "qwen3_vl" and remote.dialect is dialect_of("qwen3_vl")
    assert [replica.url for replica in remote.servers.replicas.all] == [f"{server.url}/v1"] * 2
    assert ask(remote).result().text == TEXT and server.bodies[-1]["model"] == "small-vlm"
    other = open_remote(f"qwen3_vl:other={server.url}")
    assert other.name == "other" and other.dialect is dialect_of("qwen3_vl")
    assert ask(other).result().model == "other" and server.bodies[-1]["model"] == "other"
    folder = open_remote(f"minivlm:/home/somebody/captions={server.url}")
    assert folder.name == "captions", "where a folder lies is nobody's business"
    assert ask(folder).result().model == "captions" and server.bodies[-1]["model"].startswith("/home/somebody")
    for address in ("http://gpu-1:8000", "qwen3_vl=", "=http://gpu-1", "qwen3_vl=gpu-1:8000", "qwen3_vl=http://a,b"):
        with pytest.raises(EngineError, match="named FAMILY=URL"):
            open_remote(address)


def test_the_hubs_offline_switch_is_named_where_it_stops_us(serve, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    backend, _ = serve()
    with pytest.raises(EngineError, match="cannot be asked while HF_HUB_OFFLINE is set"):
        ask(backend).result()


def test_a_family_that_does_not_chat_is_refused():
    with pytest.raises(EngineError, match="PaliGemma does not chat"):
        RemoteBackend("the lab", ["http://127.0.0.1:9"], dialect=dialect_of("paligemma"))


def test_the_engine_asks_a_server_and_shows_nobody_where_it_is(serve):
    _, server = serve()
    server.pause = 0.1
    engine = Engine(f"qwen3_vl={server.url}")
    engine.load()
    texts = [partial.text for partial in engine.answer_stream(IMAGE, "how many?")]
    assert texts[0] == "" and texts[-1] == TEXT and len(texts) > 3
    result = engine.caption(IMAGE)
    assert (result.text, result.model, engine.models) == (TEXT, "qwen3_vl", ["qwen3_vl"])
    assert engine.novelty(IMAGE).score is None and "another machine" in engine.description().knows
    status = str(engine.status())
    assert "qwen3_vl · on another machine" in status and str(server.port) not in status
    engine.unload()
    assert engine.caption(IMAGE, model="qwen3_vl").text == TEXT
    engine.close()


def test_an_engine_keeps_its_model_when_no_server_answers(serve):
    engine = Engine(runner=Bytes())
    with pytest.raises(EngineError, match="qwen3_vl cannot be reached"):
        engine.switch("qwen3_vl=http://127.0.0.1:9")
    assert engine.answer(IMAGE, "hello").text == "hello" and engine.models == ["bytes"]
    _, server = serve()
    engine.switch(f"qwen3_vl={server.url}")
    assert engine.answer(IMAGE, "hello").text == TEXT and engine.model == "qwen3_vl"
    engine.close()


def test_images_go_where_the_chat_mentions_them(serve):
    backend, server = serve()
    message = Message("user", ("before", IMAGE, "between", IMAGE, "after"))
    backend.stream(Request("vqa", (message,))).result()
    (sent,) = server.bodies[0]["messages"]
    assert [part.get("text", part["type"]) for part in sent["content"]] == [
        "before", "image_url", "between", "image_url", "after",
    ]  # fmt: skip
