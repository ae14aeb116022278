"""For those who see little or use no mouse: the rules of axe-core, arrow keys between tabs, a shortcut that is told."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import npm
from tests.browser.steps import SCENE, TABS, draw_images, finished, go, run_with_scene, upload_scene

BROKEN = """async () => {
  const run = await axe.run(document, { resultTypes: ["violations"] });
  return run.violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
}"""


@pytest.fixture(scope="session")
def axe() -> Path:
    """The rules."""
    return npm.modules() / "axe-core" / "axe.min.js"


def has_no_faults(page: Page) -> None:
    """In the light and in the dark theme, between which gradio switches by this class."""
    page.emulate_media(reduced_motion="reduce")  # then colours change at once
    page.mouse.move(0, 0)
    for dark in (True, False):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        theme = "dark" if dark else "light"
        assert page.evaluate(BROKEN) == [], f"{page.locator('[role=tab][aria-selected=true]').inner_text()}, {theme}"


def test_axe_finds_nothing(visit: Callable, address: str, axe: Path) -> None:
    page = visit(f"{address}?__theme=light")
    page.add_script_tag(path=axe)
    for tab in TABS:  # where there is no image yet, and where that is complained about
        go(page, tab)
        has_no_faults(page)
        page.locator(f"#{tab.lower()}-run").click()
        expect(page.locator(f"#{tab.lower()}-notice .bad")).to_be_visible()
        has_no_faults(page)
    upload_scene(page)
    for folded in ("Reveal the truth", "What the model sees"):
        page.get_by_role("button", name=folded).click()
    for tab in sorted(TABS, key=lambda tab: tab == "Compare"):
        run_with_scene(page, tab, in_auto="Box everything.")
        if tab == "Auto":
            expect(page.locator("#auto-boxes img").first).to_be_visible()
        page.get_by_role("button", name="Settings").locator("visible=true").click()
        has_no_faults(page)


def test_axe_finds_nothing_in_live_and_game(visit: Callable, address: str, axe: Path) -> None:
    page = visit(f"{address}?__theme=light")
    page.add_script_tag(path=axe)
    go(page, "Live")
    page.get_by_label("Boxes", exact=True).check()
    page.locator("#live-run").click()
    page.locator("#live-camera svg").wait_for(state="attached")
    has_no_faults(page)
    go(page, "Game")
    page.locator("#game-run").click()
    expect(page.locator("#game-line")).to_contain_text("Score")
    has_no_faults(page)


def test_axe_finds_nothing_where_the_page_opens(visit: Callable, bundled: str, axe: Path) -> None:
    page = visit(f"{bundled}?__theme=light")
    page.add_script_tag(path=axe)
    finished(page, "caption")
    page.get_by_role("button", name="Other models").click()
    has_no_faults(page)
    go(page, "Detect")
    finished(page, "detect")
    has_no_faults(page)


def test_axe_finds_nothing_while_something_runs(visit: Callable, slow_address: str, axe: Path) -> None:
    page = visit(f"{slow_address}?__theme=light")
    page.add_script_tag(path=axe)
    upload_scene(page)
    page.locator("#caption-run").click()
    expect(page.locator("#caption-line")).to_contain_text("Writing")
    has_no_faults(page)


def test_arrow_keys_move_between_tabs(visit: Callable, address: str) -> None:
    page = visit(address)
    page.get_by_role("tab", name="Caption").focus()
    for key, tab in (("ArrowRight", "Detect"), ("ArrowRight", "Chat"), ("ArrowLeft", "Detect"), ("End", "Game")):
        page.keyboard.press(key)
        expect(page.get_by_role("tab", name=tab)).to_be_focused()
        expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
        page.locator(f"#{tab.lower()}-run").wait_for()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Caption")).to_be_focused()


def test_the_shortcut_is_told(visit: Callable, address: str) -> None:
    page = visit(address)
    expect(page.locator(".hint").first).to_have_text("Ctrl Enter")
    expect(page.locator("#caption-run")).to_have_attribute("aria-keyshortcuts", "Control+Enter")


def test_an_answer_is_announced_once_it_is_whole(visit: Callable, address: str) -> None:
    page = visit(address)
    upload_scene(page)
    page.locator("#caption-run").click()
    finished(page, "caption")
    # In a place that was there before: a screen reader does not announce what comes with a place of its own.
    expect(page.locator("#heard")).to_contain_text(page.locator("#caption-text-1 textarea").input_value())
    expect(page.get_by_role("status")).to_have_count(1)


def test_drawn_boxes_are_told_to_those_who_do_not_see_them(visit: Callable, address: str) -> None:
    page = visit(address)
    go(page, "Detect")
    upload_scene(page)
    page.locator("#detect-run").click()
    finished(page, "detect")
    drawn = page.locator("#detect-drawn img").first
    for item in SCENE.objects:
        expect(drawn).to_have_attribute("alt", re.compile(rf"\b{item.label} (at|in) the "))


def test_the_slider_of_compare_works_by_keys(visit: Callable, address: str) -> None:
    page = visit(address)
    go(page, "Compare")
    draw_images(page)
    page.locator("#compare-run").click()
    finished(page, "compare")
    slider = page.locator("#compare-slider input")
    slider.focus()
    before = page.locator("#compare-slider img").last.evaluate("image => getComputedStyle(image).clipPath")
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_value("51")
    after = page.locator("#compare-slider img").last.evaluate("image => getComputedStyle(image).clipPath")
    assert before != after


def test_the_dark_theme_is_the_class_that_these_tests_set(visit: Callable, address: str) -> None:
    page = visit(f"{address}?__theme=dark")
    expect(page.locator("body")).to_have_class(re.compile(r"\bdark\b"))
