"""Two people on one page do not meet."""

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE
from tests.browser.steps import answers, ask, go, upload_scene
from vlm_demo.ui import privacy


def test_two_people_do_not_see_each_other(visit: Callable, address: str) -> None:
    first, second = visit(address), visit(address)
    for page in (first, second):
        go(page, "Chat")
    upload_scene(first)
    ask(first, "How many objects are there?")
    expect(answers(second)).to_have_count(0)
    expect(second.locator("#image-1 img")).to_have_count(0)
    upload_scene(second, 1)
    ask(second, "Is there a picture?")
    expect(answers(first)).to_have_count(1)


def test_stop_is_for_oneself_and_leaving_stops_too(
    visit: Callable, slow_address: str, slow_engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "GRACE", 0.2)
    staying, leaving = visit(slow_address), visit(slow_address)
    for page in (staying, leaving):
        upload_scene(page)
        page.locator("#caption-run").click()
        expect(page.locator("#caption-text-1 textarea")).to_have_value(re.compile("word2"))
    leaving.close()
    deadline = time.monotonic() + PATIENCE / 1000
    while slow_engine.status().running > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert slow_engine.status().running == 1
    staying.locator("#caption-stop").click()
    expect(staying.locator("#caption-line")).to_contain_text("stopped")
