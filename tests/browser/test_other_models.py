"""Another model is brought in while the page runs: what it takes is told first, and what it cannot do is off."""

from collections.abc import Callable, Iterator
from pathlib import Path

import families
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import serve
from tests.browser.steps import finished
from tests.fake_engine import fake_engine


@pytest.fixture
def address() -> Iterator[str]:
    engine = fake_engine("a fake answer")
    with serve(engine) as address:
        yield address


def test_a_model_is_looked_up_loaded_and_answers(address: str, visit: Callable, tmp_path: Path) -> None:
    families.save("git", tmp_path / "git")
    page: Page = visit(address)
    expect(page.locator("#model")).to_be_hidden()
    page.get_by_role("button", name="Other models").click()
    name, card = page.locator("#other-name input"), page.locator("#other-card")
    name.fill(str(tmp_path / "nothing"))
    name.press("Enter")
    page.locator("#other-look").click()
    expect(card).to_contain_text("neither a folder on this machine nor the name of a model")
    expect(page.locator("#other-load")).to_be_hidden()
    name.fill(str(tmp_path / "git"))
    name.press("Enter")
    page.locator("#other-look").click()
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
