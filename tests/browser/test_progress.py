"""While an answer is on its way, a person sees that and how far; before and after, nothing pretends to be busy."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import serve
from tests.browser.steps import SCENE, go, upload_scene
from tests.fake_engine import LONG, fake_engine


@pytest.fixture
def one_at_a_time() -> Iterator[str]:
    """A page whose model writes slowly, and for one person after the other."""
    engine = fake_engine(LONG, delay=0.1)
    engine.runner.max_sequences = 1
    with serve(engine) as address:
        yield address


@pytest.fixture
def finder() -> Iterator[str]:
    """A page whose model writes the boxes of the first example slowly."""
    engine = fake_engine(SCENE.detections_json(), delay=0.1)
    with serve(engine) as address:
        yield address


def test_run_is_busy_and_stop_is_red_while_something_runs(visit: Callable, slow_address: str) -> None:
    page = visit(slow_address)
    run, stop, line = (page.locator(f"#caption-{name}") for name in ("run", "stop", "line"))
    upload_scene(page)
    expect(stop).to_be_hidden()
    run.click()
    expect(run).to_have_text("Working …")
    expect(run).to_have_class(re.compile("busy"))
    expect(stop).to_be_visible()
    red, green, blue = map(int, re.findall(r"\d+", stop.evaluate("e => getComputedStyle(e).backgroundColor"))[:3])
    assert red > 150 and red > 2 * max(green, blue)
    expect(line).to_contain_text("Writing")
    assert not re.search("sure|probability|right", line.inner_text())
    stop.click()
    expect(run).to_have_text("Write a caption")
    expect(run).not_to_have_class(re.compile("busy"))
    expect(stop).to_be_hidden()
    expect(line).to_contain_text("probability")


def test_the_queue_is_named_only_when_there_is_one(one_at_a_time: str, visit: Callable) -> None:
    first, second = visit(one_at_a_time), visit(one_at_a_time)
    for page in (first, second):
        upload_scene(page)
        page.evaluate(
            """() => {
                window.heard = "";
                const line = document.querySelector("#caption-line");
                const watch = new MutationObserver(() => (window.heard += line.querySelector("p")?.innerText));
                watch.observe(line, { childList: true, subtree: true });
            }"""
        )
    first.locator("#caption-run").click()
    expect(first.locator("#caption-line")).to_contain_text("Writing")
    second.locator("#caption-run").click()
    expect(second.locator("#caption-line")).to_contain_text("In the queue: you are 1st")
    first.locator("#caption-stop").click()
    expect(second.locator("#caption-line")).to_contain_text("Writing")
    second.locator("#caption-stop").click()
    assert "queue" not in first.evaluate("heard") and "queue" in second.evaluate("heard")


def test_boxes_appear_while_the_model_still_writes(finder: str, visit: Callable) -> None:
    page = visit(finder)
    go(page, "Detect")
    upload_scene(page)
    page.locator("#detect-run").click()
    rows = page.locator("#detect-table tbody tr")
    expect(rows).to_have_count(1)
    expect(page.locator("#detect-line")).to_contain_text("Writing")
    expect(page.locator("#detect-drawn")).to_contain_text(f"1 {SCENE.objects[0].label}")
    expect(rows).to_have_count(len(SCENE.objects))


@pytest.mark.parametrize("tab", ["Caption", "Detect", "Chat", "Auto"])
def test_on_a_phone_the_answer_comes_into_view(visit: Callable, address: str, tab: str) -> None:
    page = visit(address, width=390, height=844)
    go(page, tab)
    name = tab.lower()
    upload_scene(page)
    if tab in ("Chat", "Auto"):
        page.locator(f"#{name}-box textarea").fill("How many objects are there?")
    page.locator(f"#{name}-run").click()
    answer = {"Caption": "#caption-text-1", "Detect": "#detect-drawn", "Chat": "#chat-log .bot", "Auto": "#auto-card"}
    expect(page.locator(answer[tab]).first).to_be_in_viewport(ratio=0.6)
