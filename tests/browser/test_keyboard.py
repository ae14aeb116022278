"""Every tab by keys alone."""

from collections.abc import Callable

from tests.browser.steps import TABS, finished, upload_scene

FOCUS = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  const ids = [];
  for (let e = at; e; e = e.parentElement) if (e.id) ids.push(e.id);
  const seen = style.outlineStyle !== "none" || style.boxShadow !== "none";
  return { ids, seen, what: at.outerHTML.slice(0, 120) };
}"""


def test_the_keyboard_reaches_everything(visit: Callable, address: str) -> None:
    page = visit(address)
    for number, tab in enumerate(TABS):
        page.get_by_role("tab", name="Caption").focus()
        for _ in range(number):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        name = tab.lower()
        page.locator(f"#{name}-run").wait_for()
        reached, unseen = set(), []
        for _ in range(60):
            page.keyboard.press("Tab")
            focus = page.evaluate(FOCUS)
            reached.update(focus["ids"])
            if not focus["seen"] and "<body" not in focus["what"]:
                unseen.append(focus["what"])
        wanted = {f"{name}-run", "image-1", "new-scene", "add-image", "examples", "free-memory"}
        wanted |= {"compare-new-pair"} if tab == "Compare" else set()
        assert wanted <= reached, tab
        assert unseen == [], tab


def test_ctrl_enter_runs_the_open_tab(visit: Callable, address: str) -> None:
    page = visit(address)
    upload_scene(page)
    page.keyboard.press("Control+Enter")
    finished(page, "caption")
