"""The page in front of a server: what it says when that fails, and that nothing is lost."""

from collections.abc import Callable

from playwright.sync_api import expect
from standin_server import StandIn

from tests.browser.steps import answers, ask, go, upload_scene
from vlm_demo.engine import Engine


def test_a_question_that_a_server_refuses_can_be_asked_again(start: Callable, visit: Callable) -> None:
    server = StandIn(400, "answer", 400)
    page = visit(start(Engine(f"llava:small-vlm={server.url}")))
    expect(page.locator("#knows")).to_contain_text("It runs on another machine")
    upload_scene(page)
    page.get_by_role("tab", name="Detect").click()
    expect(page.locator("#detect-run")).to_be_disabled()
    go(page, "Chat")
    box, line = page.locator("#chat-box textarea"), page.locator("#chat-line")
    box.fill("How many cats?")
    page.locator("#chat-run").click()
    expect(page.locator("#chat-notice")).to_contain_text("small-vlm refuses this request: code 400")
    expect(box).to_have_value("How many cats?")
    expect(line).not_to_contain_text("Reading")
    expect(answers(page)).to_have_count(0)
    ask(page, "How many cats?")
    expect(answers(page)).to_contain_text("two cats on a mat")
    page.locator("#chat-log").get_by_role("button", name="Retry").click()
    expect(page.locator("#chat-notice")).to_contain_text("refuses this request")
    expect(answers(page)).to_contain_text("two cats on a mat")  # the answer that there was
    server.close()
