"""What a server on another machine does wrong, and what Stop does there: told in words, tried again where safe."""

import asyncio
import threading
import time

import pytest

from tests.remote_requests import TEXT, ask
from tests.scripted import until
from vlm_demo.results import EngineError


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
    backend, server = serve(("stall",))
    answer = ask(backend)
    threading.Thread(target=lambda: (until(lambda: server.bodies), answer.cancel())).start()
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
    until(lambda: [replica.busy for replica in backend.servers.replicas.all] == [0])


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


def test_an_error_without_a_length_is_told_too(serve):
    backend, server = serve((400, 422))
    server.chunked = True
    backend.servers.model = "small-vlm"
    for code in (400, 422):
        with pytest.raises(EngineError, match=f"the lab refuses this request: code {code}"):
            ask(backend).result()


def test_how_long_a_server_has_not_begun_is_told(serve, monkeypatch):
    monkeypatch.setattr("vlm_demo.backends.remote.answer.LOOK", 0.05)
    backend, server = serve(("stall",))
    waited = []
    for partial in ask(backend).partials():
        waited.append(partial.timings.prefill)
        if len(waited) == 4:
            break
    assert 0 == waited[0] < waited[1] < waited[2] < waited[3] and partial.text == ""


def test_a_slow_server_is_given_up(serve):
    backend, server = serve(("stall",), read_seconds=0.2)
    backend.servers.model = "small-vlm"
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
