"""The Live tab, with Chromium's fake camera."""

import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, serve
from tests.browser.steps import finished, upload_scene
from tests.fake_engine import FakeRunner, fake_engine
from vlm_demo.engine import Engine

BOX = '{"objects": [{"label": "clock", "bbox": [0.25, 0.25, 0.5, 0.5]}]}'
REPLIES = {"caption": "A clock.", "detect": BOX, "vqa": "green"}


@pytest.fixture(scope="module")
def watching() -> Iterator[tuple[Engine, str]]:
    """A page whose model needs a moment for each word; it keeps what it was asked."""
    engine = fake_engine(lambda turns, images: REPLIES[turns[-1]["task"]], delay=0.1)
    with serve(engine) as address:
        yield engine, address


@pytest.fixture
def asked(watching: tuple[Engine, str]) -> list:
    """What the model has been asked since the test began."""
    runner: FakeRunner = watching[0].runner
    runner.asked.clear()
    return runner.asked


def start(page: Page) -> None:
    page.get_by_role("tab", name="Live").click()
    page.locator("#live-run").click()
    expect(page.locator("#live-camera .answer")).to_have_text("A clock.")


def camera_is_off(page: Page) -> None:
    expect(page.locator("#live-run")).to_be_visible()
    expect(page.locator("#live-stop")).to_be_hidden()
    assert page.locator("#live-camera video").evaluate("video => video.srcObject === null")


def test_answers_follow_the_camera_at_the_models_pace(visit: Callable, watching, asked: list) -> None:
    engine, address = watching
    page = visit(address)
    start(page)
    expect(page.locator("#live-pace")).to_contain_text(re.compile("answer.* s ago · [0-9]+ frames passed"))
    for _ in range(20):  # whatever the camera gives, one request of a visitor is with the engine, and none waits
        status = engine.status()
        assert status.running + status.waiting <= 1
        page.wait_for_timeout(50)
    passed = int(re.search(r"(\d+) frames passed", page.locator("#live-pace").inner_text())[1])
    assert passed > len(asked)
    page.locator("#live-stop").click()
    camera_is_off(page)
    page.wait_for_timeout(500)
    after = len(asked)
    page.wait_for_timeout(1000)
    assert len(asked) == after and engine.status().running == 0


def test_boxes_or_one_question_follow_too(visit: Callable, watching, asked: list) -> None:
    page = visit(watching[1])
    start(page)
    page.get_by_label("Boxes", exact=True).check()
    rect = page.locator("#live-camera svg rect").first
    rect.wait_for(state="attached")
    box, video = rect.bounding_box(), page.locator("#live-camera video").bounding_box()
    assert box["x"] == pytest.approx(video["x"] + video["width"] / 4, abs=3)
    assert box["y"] == pytest.approx(video["y"] + video["height"] / 4, abs=3)
    page.get_by_label("A question", exact=True).check()
    page.locator("#live-question textarea").fill("Which colour is it?")
    expect(page.locator("#live-camera .answer")).to_have_text("green")
    page.wait_for_timeout(1000)
    assert asked[-1][-1]["text"] == "Which colour is it?"


def test_who_asks_something_else_has_a_turn(visit: Callable, watching, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, address = watching
    monkeypatch.setattr(engine.runner, "max_sequences", 1)
    filming, asking = visit(address), visit(address)
    start(filming)
    upload_scene(asking)
    asking.locator("#caption-run").click()
    finished(asking, "caption")
    expect(asking.locator("#caption-text-1 textarea")).to_have_value("A clock.")
    answered = len(engine.runner.asked)
    filming.wait_for_timeout(1500)
    assert len(engine.runner.asked) > answered  # and the camera goes on


@pytest.mark.parametrize("how", ["another tab", "hidden", "closed"])
def test_who_does_not_look_gives_the_camera_back(visit: Callable, watching, asked: list, how: str) -> None:
    engine, address = watching
    page = visit(address)
    start(page)
    if how == "closed":
        page.close()
    elif how == "hidden":
        page.evaluate(
            "Object.defineProperty(document, 'hidden', { get: () => true });"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
    else:
        page.get_by_role("tab", name="Caption").click()
        page.wait_for_timeout(500)
        page.get_by_role("tab", name="Live").click()
    if how != "closed":
        camera_is_off(page)
        expect(page.locator("#live-pace")).to_contain_text("nobody saw it")
        page.wait_for_timeout(1500)
    else:
        time.sleep(1)  # what was on its way has arrived
        deadline = time.monotonic() + PATIENCE / 1000
        while engine.status().running and time.monotonic() < deadline:
            time.sleep(0.1)
    after = len(asked)
    visit(address).wait_for_timeout(1000)
    assert len(asked) == after


def test_a_phone_chooses_its_camera(visit: Callable, watching) -> None:
    page = visit(watching[1])
    page.evaluate(
        """() => {
          const media = navigator.mediaDevices, real = media.getUserMedia.bind(media);
          window.wanted = [];
          media.getUserMedia = (wishes) => (window.wanted.push(wishes.video.facingMode.ideal), real(wishes));
        }"""
    )
    start(page)
    page.get_by_label("Front", exact=True).check()
    page.wait_for_function("window.wanted.length === 2")
    assert page.evaluate("window.wanted") == ["environment", "user"]
    expect(page.locator("#live-stop")).to_be_visible()


def test_a_camera_that_is_not_lent_is_told_in_words(visit: Callable, watching) -> None:
    page = visit(watching[1])
    page.evaluate(
        """() => {
          navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
        }"""
    )
    page.get_by_role("tab", name="Live").click()
    page.locator("#live-run").click()
    expect(page.locator("#live-pace")).to_contain_text("Allow it beside the address")
    expect(page.locator("#live-run")).to_be_visible()
