"""The line at the foot of the page: what is loaded, free memory, another model."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.steps import finished, upload_scene
from tests.fake_engine import FakeRunner, fake_engine
from vlm_demo.engine import Engine
from vlm_demo.engine import models as engine_models
from vlm_demo.results import EngineError
from vlm_demo.ui import Owner


def test_the_status_line_tells_and_frees(visit: Callable, address: str) -> None:
    page = visit(address)
    upload_scene(page)
    page.locator("#caption-run").click()
    finished(page, "caption")
    expect(page.locator("#status")).to_contain_text("parameters")
    page.locator("#free-memory").click()
    expect(page.locator("#status")).to_contain_text("not loaded")


def test_who_opens_the_page_with_the_key_is_its_owner(
    start: Callable, visit: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlm_demo.ui.owner.is_local", lambda host: False)
    address = start(fake_engine(), Owner("chalk"))
    owner, pupil = visit(f"{address}?owner=chalk"), visit(address)
    expect(owner.locator("#status")).to_contain_text("not loaded")
    owner.locator("#free-memory").click()
    expect(owner.get_by_test_id("toast-text").get_by_text("The model's memory is free.")).to_be_visible()
    expect(pupil.locator("#status p")).to_have_text(re.compile("^fake · not loaded yet"))  # what it takes is no concern
    expect(pupil.locator("#free-memory")).to_be_hidden()


def test_each_visitor_chooses_a_model(start: Callable, visit: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_runner(model: str, *args: str) -> FakeRunner:
        runner = FakeRunner(lambda turns, images: f"I am {model}.")
        runner.name = model
        if model == "gone":
            runner.load = lambda: (_ for _ in ()).throw(EngineError("The weights could not be read."))
        return runner

    monkeypatch.setattr(engine_models, "open_runner", open_runner)
    address = start(Engine("fake", models=["other", "gone"]))
    page, neighbour = visit(address), visit(address)
    for one in (page, neighbour):
        upload_scene(one)
    page.get_by_label("other", exact=True).check()
    for one, name in ((page, "other"), (neighbour, "fake")):
        one.locator("#caption-run").click()
        expect(one.locator("#caption-text-1 textarea")).to_have_value(f"I am {name}.")
    page.get_by_label("gone", exact=True).check()
    page.locator("#caption-run").click()
    expect(page.locator(".notice", has_text="The weights could not be read.")).to_be_visible()
