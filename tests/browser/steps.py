"""What a person does on the page, step by step, for tests that drive it."""

import io

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE
from vlm_demo.scenes import make_scene
from vlm_demo.ui import draws

EXAMPLE = 0  # which of the examples the tests press
SCENE = make_scene(draws.EXAMPLES[EXAMPLE])
TABS = ("Caption", "Detect", "Chat", "Compare", "Auto", "Versus")
expect.set_options(timeout=PATIENCE)


def go(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab).click()
    page.locator(f"#{tab.lower()}-run").wait_for()


def upload_scene(page: Page, index: int = EXAMPLE, slot: int = 1) -> None:
    """The scene of an example, as an image of the visitor's own: one of the page's examples would run at once."""
    file = io.BytesIO()
    make_scene(draws.EXAMPLES[index]).image(draws.SIZE).save(file, "PNG")
    page.locator(f"#image-{slot} input[type=file]").set_input_files(
        {"name": "image.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    page.locator(f"#image-{slot} img").wait_for()


def starting(page: Page, tab: str) -> None:
    """Call before another run on the same tab, so that `finished` does not take the last one's line for its own."""
    page.evaluate("tab => document.querySelectorAll(`#${tab}-line p`).forEach(p => (p.dataset.old = true))", tab)


def finished(page: Page, tab: str) -> None:
    if tab == "versus":
        expect(page.locator("#versus-vote-tie")).to_be_visible()
        return
    expect(page.locator(f"#{tab}-line p:not([data-old])")).to_contain_text("tokens")
    expect(page.locator(f"#{tab}-stop")).to_be_hidden()


def draw_images(page: Page, button: str = "New pair", count: int = 2) -> None:
    """Press a button of Compare that draws images, and wait for the end of the comparison that it starts."""
    starting(page, "compare")
    page.get_by_role("button", name=button).locator("visible=true").click()
    page.locator(f"#image-{count} img").wait_for()
    finished(page, "compare")
    starting(page, "compare")


def answers(page: Page) -> Locator:
    return page.locator("#chat-log .bot.message")


def ask(page: Page, question: str) -> None:
    before = answers(page).count()
    starting(page, "chat")
    page.locator("#chat-box textarea").fill(question)
    page.locator("#chat-box textarea").press("Enter")
    expect(answers(page)).to_have_count(before + 1)
    finished(page, "chat")


def run_with_scene(page: Page, tab: str, in_auto: str = "How many objects are there?") -> None:
    """Open a tab, fill in what it needs beside the scene that is there, and run it to its end. Compare brings images of
    its own, so it comes last."""
    go(page, tab)
    name = tab.lower()
    if tab == "Compare":
        draw_images(page)
    if tab in ("Chat", "Auto"):
        page.locator(f"#{name}-box textarea").fill(in_auto if tab == "Auto" else "How many objects are there?")
    if tab == "Versus":
        page.get_by_role("radio", name="Find the objects").click()
    page.locator(f"#{name}-run").click()
    if tab != "Auto":
        finished(page, name)
