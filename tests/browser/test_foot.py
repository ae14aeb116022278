"""The line at the foot of the page: what is loaded, free memory, another model."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import serve
from tests.browser.test_tabs import choose_example, finished
from tests.fake_engine import FakeRunner, fake_engine
from vlm_demo.engine import engine as engine_module
from vlm_demo.results import EngineError


def test_the_status_line_tells_and_frees(visit: Callable, address: str) -> None:
    page = visit(address)
    choose_example(page, "caption")
    page.locator("#caption-run").click()
    finished(page, "caption")
    expect(page.locator("#status")).to_contain_text("parameters")
    page.locator("#free-memory").click()
    expect(page.locator("#status")).to_contain_text("not loaded")


def test_another_model_is_chosen_for_everybody(visit: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_runner(model: str, *args: str) -> FakeRunner:
        runner = FakeRunner(lambda turns, images: f"I am {model}.")
        runner.name = model
        if model == "gone":
            runner.load = lambda: (_ for _ in ()).throw(EngineError("The weights could not be read."))
        return runner

    monkeypatch.setattr(engine_module, "open_runner", open_runner)
    engine = fake_engine("I am fake.")
    demo, address = serve(engine, ["fake", "other", "gone"])
    page, neighbour = visit(address), visit(address)
    choose_example(page, "caption")
    choice = page.get_by_label("Model, for everybody")
    choice.click()
    page.get_by_role("option", name="other").click()
    expect(page.locator("#status")).to_contain_text("other")
    page.locator("#caption-run").click()
    expect(page.locator("#caption-text-1 textarea")).to_have_value("I am other.")
    choice.click()
    page.get_by_role("option", name="gone").click()
    expect(page.get_by_text("The weights could not be read.")).to_be_visible()
    expect(choice).to_have_value("other")
    expect(neighbour.get_by_label("Model, for everybody")).to_have_value("other")
    demo.close()
    engine.close()
