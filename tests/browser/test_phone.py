"""On a phone, 390 pixels wide: what belongs together is seen together, and nothing jumps."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.steps import SCENE, TABS, answers, ask, finished, go, run_with_scene, upload_scene

PHONE = {"width": 390, "height": 844}


def upload(page: Page, tmp_path: Path) -> None:
    SCENE.image(600).save(tmp_path / "mine.png")
    page.locator("#image-1 input[type=file]").set_input_files(tmp_path / "mine.png")
    page.locator("#image-1 img").wait_for()


def seen_together(page: Page, *selectors: str) -> None:
    """Each of these is whole on the screen, as it is scrolled now."""
    page.wait_for_timeout(600)  # scrolling takes a moment
    for selector in selectors:
        box = page.locator(selector).first.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= PHONE["height"], (selector, box)


def test_image_style_and_caption_fit_one_screen(visit: Callable, address: str, tmp_path: Path) -> None:
    page = visit(address, **PHONE)
    upload(page, tmp_path)
    page.locator("#caption-run").click()
    finished(page, "caption")
    seen_together(page, "#image-1 img", "#caption-style", "#caption-run", "#caption-text-1 textarea")


def test_image_question_and_answer_fit_one_screen(visit: Callable, address: str, tmp_path: Path) -> None:
    page = visit(address, **PHONE)
    go(page, "Auto")
    upload(page, tmp_path)
    page.locator("#auto-box textarea").fill("How many objects are there?")
    page.locator("#auto-run").click()
    expect(page.locator("#auto-answers .section")).to_have_count(1)
    seen_together(page, "#image-1 img", "#auto-box textarea", "#auto-run", "#auto-answers .answer")


def test_boxes_and_table_are_seen_together(visit: Callable, address: str, tmp_path: Path) -> None:
    page = visit(address, **PHONE)
    go(page, "Detect")
    upload(page, tmp_path)
    page.locator("#detect-run").click()
    finished(page, "detect")
    expect(page.locator("#detect-table tbody tr")).to_have_count(len(SCENE.objects))
    seen_together(page, "#detect-run", "#detect-drawn img", "#detect-table tbody")
    run, drawn = (page.locator(name).first.bounding_box() for name in ("#detect-run", "#detect-drawn img"))
    assert run["y"] + run["height"] <= drawn["y"], "the button that stays covers the boxes"
    page.mouse.move(200, 500)
    page.mouse.wheel(0, 500)
    seen_together(page, "#detect-run")


def test_chat_shows_four_turns(visit: Callable, address: str, tmp_path: Path) -> None:
    page = visit(address, **PHONE)
    go(page, "Chat")
    upload(page, tmp_path)
    for question in ("How many objects are there?", "Is there a picture?", "Is it night?", "Is there a cow?"):
        ask(page, question)
    expect(answers(page)).to_have_count(4)
    page.wait_for_timeout(600)
    log = page.locator("#chat-log").bounding_box()
    for message in page.locator("#chat-log .message-row").all():
        box = message.bounding_box()
        assert log["y"] <= box["y"] and box["y"] + box["height"] <= log["y"] + log["height"]
    seen_together(page, "#chat-log", "#chat-box textarea", "#chat-run")


@pytest.mark.parametrize("tab", ["caption", "chat", "compare"])
def test_nothing_jumps_when_a_notice_comes(visit: Callable, outside_address: str, tab: str, tmp_path: Path) -> None:
    page = visit(outside_address, **PHONE)
    go(page, tab.capitalize())
    upload_scene(page)
    if tab == "compare":
        page.get_by_role("button", name="Add an image").click()
        upload_scene(page, 1, slot=2)
    page.wait_for_timeout(600)
    watched = {"caption": "#caption-text-1", "chat": "#chat-log", "compare": "#compare-text"}[tab]
    top = "e => e.getBoundingClientRect().top + window.scrollY"
    before = [page.locator(selector).evaluate(top) for selector in (watched, f"#{tab}-line")]
    if tab == "chat":
        page.locator("#chat-box textarea").fill("How many cats are there?")
    page.locator(f"#{tab}-run").click()
    expect(page.locator(f"#{tab}-notice")).to_contain_text("unlike anything")
    assert [page.locator(selector).evaluate(top) for selector in (watched, f"#{tab}-line")] == before


def test_no_label_covers_the_image(visit: Callable, address: str) -> None:
    page = visit(address)
    upload_scene(page)
    label = page.locator("#image-1 label[data-testid=block-label]").bounding_box()
    image = page.locator("#image-1 img").bounding_box()
    assert label["y"] + label["height"] <= image["y"] + 1


def test_a_narrow_screen_needs_no_scrolling_sideways(visit: Callable, address: str) -> None:
    page = visit(address, **PHONE)
    upload_scene(page)
    for tab in sorted(TABS, key=lambda tab: tab == "Compare"):
        run_with_scene(page, tab)
        if tab == "Auto":
            expect(page.locator("#auto-answers .section")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
