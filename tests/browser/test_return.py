"""Who comes back finds everything: after a reload, a lost connection or a phone's sleep, a running answer included."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, serve
from tests.browser.steps import SCENE, answers, ask, finished, go, upload_scene
from tests.fake_engine import fake_engine
from vlm_demo.engine import Engine
from vlm_demo.runners.base import TokenSequence
from vlm_demo.ui import privacy

WORDS = 5  # that the model writes before it is told to go on
WHOLE = " ".join(f"word{number}" for number in range(1, 30)) + "."
BOX = '{"objects": [{"label": "cat", "bbox": [0.25, 0.25, 0.5, 0.5]}]}'


@pytest.fixture(scope="module")
def go_on() -> threading.Event:
    """Unless this is set the model stops after some words."""
    return threading.Event()


@pytest.fixture(scope="module")
def engine(go_on: threading.Event) -> Engine:
    """Finds a cat everywhere, and else writes thirty words about anything."""
    engine = fake_engine(lambda turns, images: BOX if turns[-1]["task"] == "detect" else WHOLE)
    decode = engine.runner.decode

    def held(sequences: list[TokenSequence]) -> None:
        if any(len(sequence.outputs) > WORDS for sequence in sequences):
            go_on.wait(PATIENCE / 1000)
        decode(sequences)

    engine.runner.decode = held
    return engine


@pytest.fixture(scope="module")
def address(engine: Engine, go_on: threading.Event) -> Iterator[str]:
    with serve(engine) as address:
        yield address
        go_on.set()


@pytest.fixture
def written(visit: Callable, address: str, engine: Engine, go_on: threading.Event) -> Callable[[], int]:
    """How many answers the model has begun in a test."""
    before = len(engine.runner.asked)
    go_on.set()
    return lambda: len(engine.runner.asked) - before


def begin(page: Page, go_on: threading.Event) -> None:
    """Ask for a caption, of which the model writes some words."""
    go_on.clear()
    upload_scene(page)
    page.locator("#caption-run").click()
    expect(page.locator("#caption-text-1 textarea")).to_have_value(re.compile("^word1 word2"))


def test_a_reload_brings_image_and_running_answer_back(
    visit: Callable, address: str, written: Callable[[], int], go_on: threading.Event
) -> None:
    page = visit(address, steady=False)
    begin(page, go_on)
    page.reload()
    expect(page.locator("#image-1 img")).to_be_visible()
    expect(page.locator("#caption-run")).to_have_text("Working …")
    go_on.set()
    expect(page.locator("#caption-text-1 textarea")).to_have_value(WHOLE)
    expect(page.locator("#caption-run")).to_have_text("Write a caption")
    expect(page.locator("#caption-stop")).to_be_hidden()
    assert written() == 1
    expect(visit(address).locator("#image-1 img")).to_have_count(0)  # and nobody else sees it


def test_an_answer_is_whole_after_the_connection_was_lost(
    visit: Callable, address: str, engine: Engine, written: Callable[[], int], go_on: threading.Event
) -> None:
    page = visit(address, steady=False)
    begin(page, go_on)
    page.context.set_offline(True)
    go_on.set()
    while engine.status().running:
        page.wait_for_timeout(200)
    page.context.set_offline(False)
    expect(page.locator("#caption-text-1 textarea")).to_have_value(WHOLE)
    expect(page.locator("#image-1 img")).to_be_visible()
    assert written() == 1


def test_an_answer_is_whole_after_a_phone_slept(
    visit: Callable, address: str, engine: Engine, written: Callable[[], int], go_on: threading.Event
) -> None:
    page = visit(address, steady=False)
    begin(page, go_on)
    phone = page.context.new_cdp_session(page)
    phone.send("Page.setWebLifecycleState", {"state": "frozen"})  # nothing runs on the page, and nobody takes leave
    page.context.set_offline(True)
    go_on.set()
    while engine.status().running:
        time.sleep(0.1)
    time.sleep(1)
    page.context.set_offline(False)
    phone.send("Page.setWebLifecycleState", {"state": "active"})
    expect(page.locator("#caption-text-1 textarea")).to_have_value(WHOLE)
    expect(page.locator("#image-1 img")).to_be_visible()
    assert written() == 1


def test_results_of_all_tabs_come_back_where_one_was(
    visit: Callable, address: str, written: Callable[[], int], tmp_path: Path
) -> None:
    page = visit(address)
    upload_scene(page)
    page.locator("#add-image").click()
    SCENE.image(100).save(tmp_path / "second.png")
    page.locator("#image-2 input[type=file]").set_input_files(tmp_path / "second.png")
    page.locator("#image-2 img").wait_for()
    go(page, "Detect")
    page.locator("#detect-run").click()
    expect(page.locator("#detect-all")).to_be_visible()
    go(page, "Compare")
    page.get_by_label("What happens across them?").check()
    expect(page.locator("#compare-box textarea")).not_to_have_value("What changed?")
    page.locator("#compare-run").click()
    finished(page, "compare")
    go(page, "Chat")
    ask(page, "And what is this?")
    page.reload()
    expect(page.get_by_role("tab", name="Chat")).to_have_attribute("aria-selected", "true")
    expect(answers(page)).to_have_text(WHOLE)
    expect(page.locator("#image-2 img")).to_be_visible()
    go(page, "Compare")
    expect(page.locator("#compare-text textarea")).to_have_value(WHOLE)
    expect(page.get_by_label("What happens across them?")).to_be_checked()
    go(page, "Detect")
    expect(page.locator("#detect-table tbody tr")).to_have_count(1)
    expect(page.locator("#detect-drawn img").first).to_be_visible()
    with page.expect_download() as download:
        page.locator("#detect-csv").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == 2
    go(page, "Chat")
    ask(page, "And now?")
    expect(answers(page)).to_have_count(2)


def test_who_stays_away_too_long_finds_nothing(visit: Callable, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "GRACE", 0.2)
    page = visit(address)
    upload_scene(page)
    page.goto("about:blank")
    page.wait_for_timeout(2000)
    page.goto(address)
    page.locator("#caption-run").wait_for()
    page.wait_for_timeout(1000)
    expect(page.locator("#image-1 img")).to_have_count(0)
