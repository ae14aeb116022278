"""Another model is brought in while the page runs: what it takes is told first, and what it cannot do is off."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import families
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, serve
from tests.browser.steps import finished, run_with_scene, upload_scene
from tests.fake_engine import fake_engine
from vlm_demo.runners.hub import HubRunner


@pytest.fixture
def address() -> Iterator[str]:
    engine = fake_engine("a fake answer")
    with serve(engine) as address:
        yield address


def look_up(page: Page, folder: Path) -> None:
    name = page.locator("#other-name input")
    if not name.is_visible():
        page.get_by_role("button", name="Other models").click()
    name.fill(str(folder))
    name.press("Enter")
    page.locator("#other-look").click()


def test_a_model_is_looked_up_loaded_and_answers(address: str, visit: Callable, tmp_path: Path) -> None:
    families.save("git", tmp_path / "git")
    page: Page = visit(address)
    expect(page.locator("#model")).to_be_hidden()
    card = page.locator("#other-card")
    look_up(page, tmp_path / "nothing")
    expect(card).to_contain_text("neither a folder on this machine nor the name of a model")
    expect(page.locator("#other-load")).to_be_hidden()
    look_up(page, tmp_path / "git")
    expect(card).to_contain_text("on this machine, about")
    expect(card).to_contain_text("It can: Caption, Chat.")
    page.locator("#other-load").click()
    expect(card).to_contain_text("answers you from now on")
    expect(page.get_by_label("git", exact=True)).to_be_checked()
    expect(page.locator("#caption-style input")).to_have_count(1)
    page.locator("#examples button").first.click()
    expect(page.locator("#image-1 img")).to_be_visible()
    page.locator("#caption-run").click()
    finished(page, "caption")
    assert page.locator("#caption-text-1 textarea").input_value() != "a fake answer"
    page.get_by_role("tab", name="Detect").click()
    expect(page.locator("#detect-run")).to_be_disabled()
    expect(page.locator("#detect-cannot")).to_contain_text("This model cannot write boxes")
    page.get_by_label("fake", exact=True).check()
    expect(page.locator("#detect-run")).to_be_enabled()
    expect(page.locator("#detect-cannot .notice")).to_have_count(0)
    neighbour = visit(address)
    expect(neighbour.get_by_label("fake", exact=True)).to_be_checked()
    expect(neighbour.get_by_label("git", exact=True)).to_be_visible()


def test_a_model_on_its_way_is_followed_through_a_reload_and_cancelled(
    address: str, visit: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    families.save("git", tmp_path / "git")
    read = threading.Event()
    load = HubRunner.load
    monkeypatch.setattr(HubRunner, "load", lambda runner: read.wait(PATIENCE / 1000) and load(runner))
    page: Page = visit(address, steady=False)
    look_up(page, tmp_path / "git")
    page.locator("#other-load").click()
    card, cancel = page.locator("#other-card"), page.locator("#other-cancel")
    expect(card).to_contain_text("Loading the weights")
    page.reload()
    expect(card).to_contain_text("Loading the weights")
    neighbour = visit(address)
    upload_scene(neighbour)
    run_with_scene(neighbour, "Caption")  # meanwhile the page answers
    cancel.click()
    expect(cancel).to_be_hidden()
    read.set()
    expect(card).to_contain_text("was cancelled")
    expect(page.locator("#model")).to_be_hidden()  # there is nothing else to choose
    look_up(page, tmp_path / "git")
    page.locator("#other-load").click()
    expect(card).to_contain_text("answers you from now on")
