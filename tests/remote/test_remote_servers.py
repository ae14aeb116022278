"""Servers on other machines: the least busy, the dead, their names, and the key that nobody sees."""

import logging
import threading
import time

import pytest
from standin_server import StandIn

from tests.remote_requests import IMAGE, KEY, TEXT, ask
from tests.scripted import Bytes
from vlm_demo.backends.remote import RemoteBackend, open_remote
from vlm_demo.dialects import dialect_of
from vlm_demo.engine import Engine
from vlm_demo.results import EngineError


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
    others = set(threading.enumerate())
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
    readers = {thread for thread in set(threading.enumerate()) - others if thread.name == "answers of qwen3_vl"}
    engine.close()
    assert readers
    for thread in readers:
        thread.join(5)
        assert not thread.is_alive()


def test_an_engine_keeps_its_model_when_no_server_answers(serve):
    engine = Engine(runner=Bytes())
    with pytest.raises(EngineError, match="qwen3_vl cannot be reached"):
        engine.switch("qwen3_vl=http://127.0.0.1:9")
    assert engine.answer(IMAGE, "hello").text == "hello" and engine.models == ["bytes"]
    _, server = serve()
    engine.switch(f"qwen3_vl={server.url}")
    assert engine.answer(IMAGE, "hello").text == TEXT and engine.model == "qwen3_vl"
    engine.close()
