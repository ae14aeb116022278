"""The Game tab: a scene, the model's boxes, the truth beside them, and a score that is kept."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import serve
from tests.fake_engine import fake_engine, oracle
from vlm_demo.scenes import make_scene
from vlm_demo.ui import draws
from vlm_demo.ui.tabs.game import LEVELS

SEED = 3
SCENES = [make_scene(SEED, looks, objects) for objects, looks, _ in LEVELS[:3]]


@pytest.fixture(scope="module")
def playing() -> Iterator[str]:
    """A page whose model sees all of a scene but its last object, and a dog in the corner."""
    tell = oracle(*SCENES)

    def reply(turns, images) -> str:
        written = tell(turns, images)
        return written[: written.rindex('{"label"')] + '{"label": "dog", "bbox": [0.9, 0.9, 0.1, 0.1]}]}'

    engine = fake_engine(reply)
    with serve(engine) as address:
        yield address


def test_right_wrong_and_missed_are_marked_and_counted(
    visit: Callable, playing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draws, "fresh_seed", lambda: SEED)
    page = visit(playing)
    page.get_by_role("tab", name="Game").click()
    page.locator("#game-run").click()
    line, board = page.locator("#game-line"), page.locator("#game-board")
    first, harder = len(SCENES[1].objects), len(SCENES[2].objects)
    expect(line).to_contain_text(f"{first - 1} of {first} found, 1 wrong")
    expect(line).to_contain_text("in 1 scene,")
    model, truth = board.locator("figure").first, board.locator("figure").last
    expect(model.locator(".mark.right")).to_have_count(first - 1)
    expect(model.locator(".mark.wrong")).to_have_text("wrong: dog")
    expect(truth.locator(".mark.missed")).to_have_text(f"missed: {SCENES[1].objects[-1].name}")
    expect(truth.locator(".mark")).to_have_count(first)
    page.locator("#game-harder").click()
    expect(line).to_contain_text("in 2 scenes,")
    expect(line).to_contain_text(f"{first + harder - 2} of {first + harder} found and 2 wrong")
    expect(line).to_contain_text(re.compile("Level 3 of [0-9]: five objects"))
    for _ in range(2):
        page.locator("#game-easier").click()
        expect(page.locator("#game-stop")).to_be_hidden()
    expect(line).to_contain_text("Level 1 of")
    expect(page.locator("#game-easier")).to_be_disabled()
