"""A new image: what was said about the one before goes, what is asked about the new one stays."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import serve
from tests.browser.steps import SCENE, answers, ask, draw_images, finished, go, upload_scene
from tests.fake_engine import fake_engine
from vlm_demo.scenes import make_scene
from vlm_demo.ui import draws

OTHER = make_scene(41)
SHOWN = {  # what each tab shows when it has answered
    "caption": ["#caption-text-1 textarea", "#caption-line p"],
    "detect": ["#detect-raw textarea", "#detect-line p", "#detect-drawn img", "#detect-table tbody tr", "#detect-json"],
    "compare": [
        "#compare-text textarea",
        "#compare-line p",
        "#compare-boxes img",
        "#compare-slider",
        "#compare-table tr",
    ],
    "chat": ["#chat-log .message", "#chat-alternatives table", "#chat-line p"],
    "auto": ["#auto-boxes img", "#auto-answers .section", "#auto-card button"],
}


@pytest.fixture
def upload(tmp_path: Path) -> Callable[[str], Path]:
    """A picture file to upload, of a format that the name's ending says."""

    def make(name: str) -> Path:
        path = tmp_path / name
        OTHER.image(200).save(path)
        return path

    return make


def put(page: Page, slot: str, path: Path) -> None:
    page.locator(f"#{slot} input[type=file]").set_input_files(path)
    page.locator(f"#{slot} img").wait_for()


def replace(page: Page, slot: str, path: Path) -> None:
    """As a person does: the old picture goes away by its button, then another one comes."""
    page.locator(f"#{slot}").get_by_role("button", name="Remove Image").click()
    put(page, slot, path)


@pytest.fixture
def named() -> Iterator[str]:
    """A page whose model names the size of the picture that it sees."""
    engine = fake_engine(lambda turns, images: f"{images[0].width} by {images[0].height} pixels.")
    with serve(engine) as address:
        yield address


def test_another_image_takes_the_old_results_of_all_tabs_away(visit: Callable, address: str, upload: Callable) -> None:
    page = visit(address)
    go(page, "Compare")
    draw_images(page)
    for tab in ("compare", "caption", "detect"):
        go(page, tab.capitalize())
        page.locator(f"#{tab}-run").click()
        finished(page, tab)
    go(page, "Chat")
    ask(page, "How many objects are there?")
    go(page, "Auto")
    page.locator("#auto-box textarea").fill("Box everything.")
    page.locator("#auto-run").click()
    expect(page.locator("#auto-boxes img").first).to_be_visible()
    replace(page, "image-1", upload("other.png"))
    for tab, selectors in SHOWN.items():
        go(page, tab.capitalize())
        for selector in selectors:
            if selector.endswith("textarea"):
                expect(page.locator(selector)).to_have_value("")
            else:
                expect(page.locator(f"{selector} >> visible=true")).to_have_count(0)


def test_tabs_for_one_image_look_at_the_chosen_one(named: str, visit: Callable, upload: Callable) -> None:
    page = visit(named)
    upload_scene(page)
    page.locator("#caption-run").click()
    text = page.locator("#caption-text-1 textarea")
    expect(text).to_have_value(f"{draws.SIZE} by {draws.SIZE} pixels.")
    page.locator("#add-image").click()
    put(page, "image-2", upload("other.png"))
    page.wait_for_timeout(500)
    expect(text).to_have_value(f"{draws.SIZE} by {draws.SIZE} pixels.")  # it is still about the chosen one
    page.locator("#chosen-image").get_by_label("Image 2").check()
    expect(text).to_have_value("")
    page.locator("#caption-run").click()
    expect(text).to_have_value("200 by 200 pixels.")


def test_adding_an_image_keeps_the_conversation(visit: Callable, address: str, upload: Callable) -> None:
    page = visit(address)
    go(page, "Chat")
    upload_scene(page)
    ask(page, "How many objects are there?")
    page.locator("#add-image").click()
    put(page, "image-2", upload("other.png"))
    page.wait_for_timeout(1000)
    expect(answers(page)).to_have_count(1)
    ask(page, "Is there a picture?")
    expect(answers(page)).to_have_count(2)
    page.locator("#remove-image").click()
    expect(answers(page)).to_have_count(0)


@pytest.mark.parametrize("name", ["other.png", "other.tiff"])
def test_an_answer_asked_for_at_once_is_not_cut_off(
    visit: Callable, slow_address: str, upload: Callable, name: str
) -> None:
    page = visit(slow_address)
    upload_scene(page)
    page.locator("#caption-run").click()
    text = page.locator("#caption-text-1 textarea")
    expect(text).to_have_value(re.compile("word2"))
    replace(page, "image-1", upload(name))
    page.locator("#caption-run").click()
    expect(text).to_have_value(re.compile("^word1 word2 word3 word4 word5 word6"))
    page.locator("#caption-stop").click()
    expect(page.locator("#caption-line")).to_contain_text("stopped")
    time.sleep(1)
    expect(text).to_have_value(re.compile("^word1 word2"))


def test_a_new_image_ends_the_answer_about_the_old_one(
    visit: Callable, slow_address: str, slow_engine, upload: Callable
) -> None:
    page = visit(slow_address)
    upload_scene(page)
    page.locator("#caption-run").click()
    text = page.locator("#caption-text-1 textarea")
    expect(text).to_have_value(re.compile("word2"))
    replace(page, "image-1", upload("other.png"))
    expect(text).to_have_value("")
    expect(page.locator("#caption-stop")).to_be_hidden()
    assert slow_engine.status().running == 0
    time.sleep(1)
    expect(text).to_have_value("")


def test_what_browsers_do_not_show_is_shown(named: str, visit: Callable, upload: Callable) -> None:
    page = visit(named)
    path = upload("cmyk.tiff")
    SCENE.image(128).convert("CMYK").save(path)
    put(page, "image-1", path)
    page.wait_for_function("document.querySelector('#image-1 img').naturalWidth === 128")
    page.locator("#caption-run").click()
    expect(page.locator("#caption-text-1 textarea")).to_have_value("128 by 128 pixels.")
