"""The page is alive at once: the tab that is looked at answers about the image that is there, and is not in the way."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.steps import SCENE, answers, finished, go, starting, upload_scene
from tests.fake_engine import LONG, fake_engine, oracle
from vlm_demo.description import Description
from vlm_demo.engine import Engine
from vlm_demo.ui import draws

CAPTION = "Two dogs in a doorway."


@pytest.fixture
def photographer() -> Callable[..., Engine]:
    """photographer(reply, ...): an engine whose model knows photographs, so that the page opens on one."""

    def make(reply: str = CAPTION, **others: Any) -> Engine:
        engine = fake_engine(reply, **others)
        engine.runner.description = Description(samples=draws.PHOTOGRAPHS, knows="It knows photographs.")
        return engine

    return make


def caption(page: Page) -> str:
    return page.locator("#caption-text-1 textarea").input_value()


def test_each_tab_answers_when_it_is_looked_at_first(photographer: Callable, start: Callable, visit: Callable) -> None:
    engine = photographer()
    address = start(engine)
    page = visit(address)  # before the model is loaded, which takes a moment
    page.wait_for_timeout(500)
    assert caption(page) == ""
    engine.load()
    finished(page, "caption")
    assert caption(page) == CAPTION
    go(page, "Detect")
    finished(page, "detect")
    go(page, "Auto")
    expect(page.locator("#auto-answers")).to_contain_text(CAPTION)
    go(page, "Chat")
    finished(page, "chat")
    expect(answers(page)).to_have_text(CAPTION)
    starting(page, "chat")
    page.locator("#chat-box textarea").fill("Which animals?")
    page.locator("#chat-run").click()
    expect(page.locator("#chat-log .user.message")).to_have_text(["Which animals?"])
    finished(page, "chat")
    expect(answers(page)).to_have_text([CAPTION])  # what was answered unasked is an example, and makes way
    assert len(engine.runner.asked[-1]) == 1
    asked = len(engine.runner.asked)
    for tab in ("Caption", "Detect", "Chat"):
        go(page, tab)
    page.get_by_role("button", name="New conversation").click()
    go(page, "Caption")
    page.reload()
    expect(page.locator("#caption-text-1 textarea")).to_have_value(CAPTION)
    go(page, "Chat")
    page.wait_for_timeout(500)
    expect(answers(page)).to_have_count(0)
    assert len(engine.runner.asked) == asked  # each has answered once, and a reload brings back what was there


def test_who_knows_scenes_opens_on_one(start: Callable, visit: Callable) -> None:
    engine = fake_engine(oracle(SCENE))
    engine.load()
    page = visit(start(engine, opening=draws.opening))
    finished(page, "caption")
    assert caption(page) == SCENE.caption("brief")
    page.get_by_role("button", name="Reveal the truth").click()
    expect(page.locator("#truth")).to_contain_text(SCENE.caption("brief"))
    go(page, "Detect")
    expect(page.locator("#detect-table tbody tr")).to_have_count(len(SCENE.objects))
    go(page, "Game")
    expect(page.locator("#game-line")).to_contain_text("in 1 scene,")
    go(page, "Versus")
    page.wait_for_timeout(500)
    expect(page.locator("#versus-notice .notice")).to_have_count(0)  # one model alone is not put beside itself


def test_both_models_answer_when_they_are_looked_at_first(bundled: str, visit: Callable) -> None:
    page = visit(bundled)
    go(page, "Versus")
    expect(page.locator("#versus-vote-tie")).to_be_visible()
    expect(page.locator("#versus-answer-left")).to_contain_text("people")


def test_an_image_of_ones_own_takes_its_place(photographer: Callable, start: Callable, visit: Callable) -> None:
    engine = photographer(LONG, delay=0.2)
    engine.load()
    page = visit(start(engine))
    expect(page.locator("#caption-text-1 textarea")).to_have_value(re.compile("^word1"))
    upload_scene(page)
    expect(page.locator("#caption-text-1 textarea")).to_have_value("")
    expect(page.locator("#caption-stop")).to_be_hidden()
    go(page, "Detect")
    page.wait_for_timeout(500)
    assert engine.status().running == 0 and len(engine.runner.asked) == 1


def test_nobody_waits_for_what_nobody_asked(photographer: Callable, start: Callable, visit: Callable) -> None:
    engine = photographer(LONG, delay=0.2)
    engine.runner.max_sequences = 1
    engine.load()
    address = start(engine)
    first = visit(address)
    expect(first.locator("#caption-stop")).to_be_visible()
    second = visit(address)
    second.wait_for_timeout(1000)
    assert caption(second) == "" and engine.status().waiting == 0
    first.locator("#caption-stop").click()
    expect(first.locator("#caption-line")).to_contain_text("stopped")
    second.locator("#caption-run").click()
    expect(second.locator("#caption-stop")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_foreign_image_is_told_of_when_it_is_uploaded(
    photographer: Callable, start: Callable, visit: Callable, width: int
) -> None:
    engine = photographer(outside=True)
    engine.load()
    page = visit(start(engine), width=width)
    finished(page, "caption")
    tops = "ids => ids.map(id => document.getElementById(id).getBoundingClientRect().top + scrollY)"
    watched = ["image-1", "caption-run", "caption-text-1"]
    before = page.evaluate(tops, watched)
    expect(page.locator("#knows .notice")).to_be_hidden()
    upload_scene(page)
    expect(page.locator("#knows .notice")).to_be_visible()
    expect(page.locator("#heard")).to_contain_text("unlike anything")
    assert page.evaluate(tops, watched) == before  # and nothing has moved
