"""What the tabs do when somebody presses a button, without a browser: names stand for their components."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from tests.fake_engine import fake_engine
from vlm_demo.results import EngineError
from vlm_demo.router import Router
from vlm_demo.scenes import make_scene
from vlm_demo.ui.common import HIDDEN, Page, RunRow, blank_stale
from vlm_demo.ui.duels import Duel, Side
from vlm_demo.ui.runs import Run
from vlm_demo.ui.tabs.auto import AutoTab
from vlm_demo.ui.tabs.caption import CaptionTab
from vlm_demo.ui.tabs.chat import ChatTab
from vlm_demo.ui.tabs.compare import CompareTab
from vlm_demo.ui.tabs.live import LiveTab
from vlm_demo.ui.tabs.versus import VersusTab

SETTINGS = (True, 0.8, 0.95, 32)  # greedy, temperature, top-p, length
TURNS = [("How many cats are there?", "two"), ("What colour is the dog?", "red")]


@pytest.fixture(scope="module")
def router() -> Router:
    return Router.load()


@pytest.fixture
def page(router: Router) -> Page:
    return Page(fake_engine(lambda turns, images: f"about {turns[-1]['text']}"), router)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("images") / "scene.png"
    make_scene(11).image(64).save(path)
    return str(path)


def row(tab: str) -> RunRow:
    return RunRow(tab, "Run", False, "run", "stop", "notice")


def shown(work: Any) -> dict[str, Any]:
    """All that a run shows, the latest of each component."""

    async def collect() -> dict[str, Any]:
        last: dict[str, Any] = {}
        async for updates in work:
            last |= updates
        return last

    return asyncio.run(collect())


@pytest.fixture
def chat(page: Page) -> ChatTab:
    return ChatTab(page, row("chat"), "turns", "log", "box", "line", "alternatives")


def test_a_retried_question_is_asked_again_and_ends_the_conversation_there(chat: ChatTab, image: str) -> None:
    last = shown(chat.retry(Run("me"), (image,), TURNS, *SETTINGS, index=1))
    assert last["turns"] == [(TURNS[0][0], f"about {TURNS[0][0]}")]


def test_an_edited_question_keeps_the_turns_before_it(chat: ChatTab, image: str) -> None:
    last = shown(chat.edit(Run("me"), (image,), TURNS, *SETTINGS, index=2, question="Is it night?"))
    assert last["turns"] == [TURNS[0], ("Is it night?", "about Is it night?")]


def test_a_turn_taken_back_stands_in_the_box_again(chat: ChatTab) -> None:
    updates = chat.undo("me", TURNS)
    assert updates["turns"] == TURNS[:1] and updates["box"] == TURNS[1][0] and len(updates["log"]) == 2
    assert chat.undo("me", [])["box"] == ""


def test_an_example_in_chat_is_no_turn_of_the_conversation(chat: ChatTab, image: str) -> None:
    last = shown(chat.begin(Run("me"), (image,), [], *SETTINGS))
    assert "about What do you see?" in last["log"][1]["content"] and not {"turns", "box"} & set(last)


def test_candidates_are_written_each_in_a_box_of_its_own(page: Page, image: str) -> None:
    texts, lines = ["text 1", "text 2", "text 3"], ["line 1", "line 2", "line 3"]
    last = shown(CaptionTab(page, row("caption"), texts, lines).work(Run("me"), (image,), "brief", 2, *SETTINGS))
    assert last["text 1"] == last["text 2"] == "about brief"
    assert last["text 3"] == gr.update(value="", visible=HIDDEN)


def test_one_image_is_not_compared(page: Page, image: str) -> None:
    tab = CompareTab(page, row("compare"), "answer", "line", "drawn", "table", "slider")
    with pytest.raises(EngineError, match="two images or more"):
        shown(tab.work(Run("me"), (image, None), "What changed?", "change", *SETTINGS))
    assert not page.engine.runner.asked


def test_a_request_that_could_mean_anything_runs_nothing(page: Page, image: str) -> None:
    tab = AutoTab(page, row("auto"), "card", "correction", "right", "asked", "answers", "drawn")
    last = shown(tab.work(Run("me"), (image,), "lorem ipsum dolor", *SETTINGS))
    assert last["asked"] == ("lorem ipsum dolor", 1) and last["answers"] == "" and not page.engine.runner.asked
    with pytest.raises(EngineError, match="Type what you want"):
        shown(tab.work(Run("me"), (image,), " ", *SETTINGS))


def test_a_frame_that_is_no_image_is_refused_and_the_next_one_may_come(page: Page) -> None:
    event = SimpleNamespace(number=3, frame="/etc/passwd")
    request = SimpleNamespace(session_hash="me", client=None)
    last = shown(LiveTab(page, "camera", "line").look(event, request, "caption", ""))
    assert 'data-frame="3" data-refused' in last["camera"] and not page.engine.runner.asked
    assert page.sessions.running("me", "live") is None


def test_a_vote_tells_whose_answers_they_were_and_counts_once(page: Page, tmp_path: Path) -> None:
    files = [gr.DownloadButton(render=False) for _ in range(2)]
    for button in files:
        button.GRADIO_CACHE = str(tmp_path)
    names = ("ballot", "news", "agreed", "sizes", "offers")
    tab = VersusTab(page, row("versus"), ["left", "right"], *names, files, "duel", "votes")
    result = page.engine.caption(make_scene(11).image(64))
    duel = Duel((Side("fake", result, "one"), Side("fake", result, "other")), hidden=True)
    updates = tab.decide("left", duel, [])
    assert "left is fake" in updates["news"] and len(updates["votes"]) == 1 and updates["duel"] is None
    assert '"blind": true' in Path(updates[files[1]]).read_text()
    assert tab.decide("left", None, updates["votes"]) == {"ballot": gr.update(visible=False)}


def test_new_images_empty_the_tabs_that_are_about_others(page: Page) -> None:
    page.images = SimpleNamespace(
        inputs=["image"], as_opened=lambda values: False, sources=lambda values, single: tuple(values)
    )
    for tab in ("caption", "detect"):
        page.blanks.append((row(tab), lambda tab=tab: {f"{tab} text": ""}, False))
    page.sessions.finish(page.sessions.start("me", "caption", ("old.png",)))

    def updates(source: str) -> dict[str, Any]:
        return asyncio.run(blank_stale(page, "me", {"image": source}))

    assert not updates("old.png")
    assert "caption text" in (new := updates("new.png")) and "detect text" not in new
    assert not updates("new.png")
