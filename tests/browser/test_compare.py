"""Compare follows its buttons: what they say is what is asked, and pictures are never left out in silence."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import serve
from tests.browser.steps import draw_images, finished, go, starting
from tests.fake_engine import fake_engine
from vlm_demo.scenes import make_selection
from vlm_demo.ui import draws

SEED = 5


@pytest.fixture
def repeater(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A page whose model says what it was asked, and about how many pictures."""
    monkeypatch.setattr(draws, "fresh_seed", lambda: SEED)
    engine = fake_engine(lambda turns, images: f"{len(images)} pictures. {turns[-1]['text']}")
    with serve(engine) as address:
        yield address


def asked(page: Page) -> str:
    """Run, and return what the model was asked."""
    starting(page, "compare")
    page.locator("#compare-run").click()
    finished(page, "compare")
    return page.locator("#compare-text textarea").input_value()


def test_each_kind_fills_the_box_and_is_asked(repeater: str, visit: Callable) -> None:
    page = visit(repeater)
    go(page, "Compare")
    draw_images(page, "New pair", 2)
    box = page.locator("#compare-box textarea")
    expect(box).to_have_value("What changed?")
    assert asked(page) == "2 pictures. What changed?"
    page.get_by_label("Which image shows …").check()
    expect(box).to_have_value("Which image shows a cat?")
    box.fill("Which image shows a blue dog?")
    assert asked(page) == "2 pictures. Which image shows a blue dog?"
    page.get_by_label("What happens across them?").check()
    expect(box).to_have_value("What happens across these images?")
    page.get_by_label("My own question").check()
    expect(box).to_have_value("")


def test_fresh_images_bring_their_question(repeater: str, visit: Callable) -> None:
    page = visit(repeater)
    go(page, "Compare")
    draw_images(page, "New story", 3)
    expect(page.get_by_label("What happens across them?")).to_be_checked()
    assert asked(page) == "3 pictures. What happens across these images?"
    draw_images(page, "Which scene", 2)
    selection = make_selection(SEED)
    expect(page.locator("#compare-box textarea")).to_have_value(selection.qa.question)
    expect(page.get_by_label("Which image shows …")).to_be_checked()
    assert asked(page) == f"{len(selection.scenes)} pictures. {selection.qa.question}"


def test_more_than_two_images_are_not_left_out_in_silence(repeater: str, visit: Callable) -> None:
    page = visit(repeater)
    go(page, "Compare")
    draw_images(page, "New story", 3)
    expect(page.get_by_label("What happens across them?")).to_be_checked()  # the images have brought their question
    page.get_by_label("What changed?").check()
    expect(page.locator("#compare-box textarea")).to_have_value("What changed?")
    page.locator("#compare-run").click()
    expect(page.locator("#compare-notice")).to_contain_text("about two images, and here are 3")


def test_one_image_after_three_is_alone(repeater: str, visit: Callable) -> None:
    page = visit(repeater)
    go(page, "Compare")
    draw_images(page, "New story", 3)
    page.locator("#examples button").first.click()
    expect(page.locator("#image-3")).to_be_hidden()
    go(page, "Chat")
    page.locator("#chat-box textarea").fill("What is here?")
    page.locator("#chat-run").click()
    expect(page.locator("#chat-log")).to_contain_text("1 pictures. What is here?")
