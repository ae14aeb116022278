"""Two models side by side: what both say to the same, where their boxes agree, and a vote before the names are told."""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import families
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import serve
from tests.browser.steps import SCENE, finished, go, upload_scene
from tests.fake_engine import FakeRunner, oracle
from vlm_demo.description import Description
from vlm_demo.detection.formats import write_objects
from vlm_demo.engine import ICONS, Engine
from vlm_demo.engine import models as engine_models

TITLES = {"keen": "Keen Model", "dull": "Dull Model"}


def dull(turns: list, images: list) -> str:
    """Sees the first object as a kettle, misses the second, and believes in one that is not there."""
    if turns[-1]["task"] != "detect":
        return "Something or other."
    first, _, *others = [{"label": item.label, "bbox": item.bbox} for item in SCENE.objects]
    return write_objects([first | {"label": "kettle"}, *others, {"label": "ghost", "bbox": [0.0, 0.0, 0.02, 0.02]}])


@pytest.fixture(scope="module")
def two_models() -> Iterator[str]:
    """A page with a model that knows the truth and one that does not."""
    runners = {name: FakeRunner(reply) for name, reply in (("keen", oracle(SCENE)), ("dull", dull))}
    for name, runner in runners.items():
        runner.name, runner.description = name, Description(title=TITLES[name], samples="scenes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_models, "open_runner", lambda model, *_: runners[model])
        engine = Engine("keen", models=["dull"])
    with serve(engine) as address:
        yield address


def ask_both(page: Page, kind: str) -> None:
    page.get_by_role("radio", name=kind).click()
    page.locator("#versus-run").click()
    expect(page.locator("#versus-vote-tie")).to_be_visible()


def test_boxes_that_agree_and_differ_are_marked(visit: Callable, two_models: str) -> None:
    page = visit(two_models)
    upload_scene(page)
    go(page, "Versus")
    ask_both(page, "Find the objects")
    same = len(SCENE.objects) - 2
    table = page.locator("#versus-agreement")
    expect(table).to_contain_text(f"{same} of {same + 3} places the same")
    for words, count in (("both agree", same), ("another label", 1), ("only left", 1), ("only right", 1)):
        expect(table.locator("tr", has_text=words)).to_have_count(count)
    for side in ("left", "right"):
        board = page.locator(f"#versus-answer-{side}")
        expect(board.locator(".mark.both")).to_have_count(same)
        expect(board.locator(".mark.renamed")).to_have_count(1)
        expect(board.locator(".mark.alone")).to_have_count(1)
    expect(page.locator("#versus-answer-right svg")).to_have_attribute("aria-label", re.compile("ghost"))
    expect(page.locator("#versus-figures")).to_contain_text("Keen Model")
    expect(page.locator("#versus-figures")).to_contain_text("1.0 M")


def test_names_are_hidden_until_the_vote_which_can_be_downloaded(
    visit: Callable, two_models: str, tmp_path: Path
) -> None:
    page = visit(two_models)
    upload_scene(page)
    go(page, "Versus")
    page.get_by_label("Blind").check()
    ask_both(page, "Describe it")
    boards = [page.locator(f"#versus-answer-{side}") for side in ("left", "right")]
    spoken = page.locator("#versus-news, #versus-figures, .duel, #heard")
    for text in spoken.all_inner_texts():
        assert not any(title in text for title in (*TITLES, *TITLES.values())), text
    dull_side = next(side for side in (0, 1) if "Something or other." in boards[side].inner_text())
    page.locator(f"#versus-vote-{('left', 'right')[1 - dull_side]}").click()
    expect(boards[dull_side]).to_contain_text("Dull Model")
    expect(boards[1 - dull_side]).to_contain_text("Keen Model")
    expect(page.locator("#versus-news")).to_contain_text("1 vote; won:")
    expect(page.locator("#versus-vote-tie")).to_be_hidden()  # one vote a pair
    with page.expect_download() as download:
        page.locator("#versus-csv").click()
    download.value.save_as(tmp_path / "votes.csv")
    [row] = csv.DictReader((tmp_path / "votes.csv").open())
    assert row["winner"] == "keen" and row["blind"] == "True" and "Something or other." in row.values()


def test_a_model_is_not_put_beside_itself(visit: Callable, two_models: str) -> None:
    page = visit(two_models)
    upload_scene(page)
    go(page, "Versus")
    page.locator("#versus-right-model input").click()
    page.get_by_role("option", name="Keen Model").click()
    page.locator("#versus-run").click()
    expect(page.locator("#versus-notice")).to_contain_text("two different models")


def test_a_model_of_another_family_answers_beside_a_bundled_one(
    start: Callable, visit: Callable, tmp_path: Path
) -> None:
    families.save("idefics3", tmp_path / "idefics")
    page = visit(start(Engine(ICONS, device="cpu", models=[tmp_path / "idefics"])))  # as `--model` takes them
    page.get_by_label("idefics", exact=True).check()
    page.get_by_role("tab", name="Detect").click()
    expect(page.locator("#detect-run")).to_be_disabled()  # it cannot box
    go(page, "Caption")
    upload_scene(page)
    page.locator("#caption-run").click()
    finished(page, "caption")
    expect(page.locator("#caption-text-1 textarea")).not_to_have_value("")
    go(page, "Versus")
    ask_both(page, "Describe it")
    left, right = (page.locator(f"#versus-answer-{side}") for side in ("left", "right"))
    expect(left).to_contain_text(SCENE.objects[0].label)
    expect(right).to_contain_text("Right: idefics")
    expect(right.locator(".answer")).not_to_be_empty()
    expect(page.locator("#versus-figures thead")).to_contain_text(re.compile("Icon scenes.*idefics"))
