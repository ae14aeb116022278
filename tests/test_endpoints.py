"""The named endpoints without a server: what a call gives, and whose turn it takes."""

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fake_engine import LONG, fake_engine, oracle
from vlm_demo.engine import Generation
from vlm_demo.results import EngineError, Request, Visitor
from vlm_demo.router import Router
from vlm_demo.scenes import make_scene
from vlm_demo.ui.common import Page
from vlm_demo.ui.endpoints import Endpoints, sampling, turns_of

SCENE = make_scene(11)
USUAL = (0, 1, 0, -1, [])  # temperature, top_p, max_new_tokens, seed, stop
PROGRAM = SimpleNamespace(session_hash="me", client=SimpleNamespace(host="10.0.0.7"))


@pytest.fixture
def picture(tmp_path) -> str:
    SCENE.image(256).save(tmp_path / "scene.png")
    return str(tmp_path / "scene.png")


def endpoints(reply: Any, delay: float = 0.0) -> Endpoints:
    return Endpoints(Page(fake_engine(reply, delay), Router.load()))


def pieces(call: Any) -> list[dict[str, Any]]:
    """All that a call gives."""

    async def collect() -> list[dict[str, Any]]:
        return [piece async for piece in call]

    return asyncio.run(collect())


def test_boxes_come_with_their_pixels_once_the_answer_is_whole(picture: str) -> None:
    *partials, last = pieces(endpoints(oracle(SCENE), delay=0.02).detect(PROGRAM, picture, *USUAL, "", ""))
    assert partials and not any("objects" in partial for partial in partials)
    truth = json.loads(SCENE.detections_json())["objects"]
    assert last["size"] == [256, 256] and [item["label"] for item in last["objects"]] == [one["label"] for one in truth]
    assert last["objects"][0]["pixels"] == pytest.approx([256 * value for value in truth[0]["bbox"]], abs=0.01)


def test_a_request_that_asks_for_nothing_runs_nothing(picture: str) -> None:
    [answer] = pieces(endpoints("unasked").auto(PROGRAM, [picture], "lorem ipsum dolor", ""))
    assert answer["route"]["unsure"] and answer["results"] == []


def test_each_task_of_a_request_has_a_result_of_its_own(picture: str) -> None:
    last = pieces(endpoints(oracle(SCENE)).auto(PROGRAM, [picture], "Describe it and box everything.", ""))[-1]
    assert [one["task"] for one in last["results"]] == last["route"]["tasks"] == ["caption", "detect"]


def test_a_call_takes_the_turns_of_its_session_and_address(picture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = endpoints("yes")
    engine, sessions = asked.page.engine, []
    stream = engine.stream

    def watched(request: Request, session: Visitor) -> Generation:
        sessions.append(session)
        return stream(request, session)

    monkeypatch.setattr(engine, "stream", watched)
    assert pieces(asked.answer(PROGRAM, [picture], "Is it night?", [], *USUAL, ""))[-1]["text"] == "yes"
    assert sessions == [Visitor("me", "10.0.0.7")]


def test_who_leaves_ends_the_answer(picture: str) -> None:
    asked = endpoints(LONG, delay=0.05)

    async def leave() -> None:
        call = asked.caption(PROGRAM, picture, "brief", *USUAL, "")
        while not (await anext(call))["text"]:
            pass
        await call.aclose()

    asyncio.run(leave())
    deadline = time.monotonic() + 30
    while asked.page.engine.status().running:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_arguments_that_make_no_sense_are_refused_in_words() -> None:
    with pytest.raises(EngineError, match="list of texts"):
        sampling(0, 1, 0, -1, "stop")
    assert sampling(0.5, 0.9, 0, 7, None).seed == 7 and sampling(0, 1, 0, -1, []).seed is None
    for history in ("no", [["question"]], [["question", 7]]):
        with pytest.raises(EngineError, match="pairs"):
            turns_of(history)
