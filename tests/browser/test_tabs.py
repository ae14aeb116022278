"""Every tab, driven as a person would: right answers on known scenes, stop, mistakes."""

import csv
import json
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import PAIR
from tests.browser.steps import EXAMPLE, SCENE, answers, ask, draw_images, finished, go, starting, upload_scene
from vlm_demo.scenes import make_pair
from vlm_demo.ui import draws
from vlm_demo.ui.tabs import auto


def names_all(text: str) -> None:
    """The text names every object of the scene with its colour."""
    for item in SCENE.objects:
        assert item.color in text and re.search(rf"\b{item.label}", text), text


def test_caption(visit: Callable, address: str) -> None:
    page = visit(address)
    upload_scene(page)
    page.locator("#caption-run").click()
    expect(page.locator("#caption-text-1 textarea")).not_to_have_value("")
    finished(page, "caption")
    names_all(page.locator("#caption-text-1 textarea").input_value())


def test_an_example_runs_when_it_is_clicked(visit: Callable, address: str) -> None:
    page = visit(address)
    page.locator("#examples button").nth(EXAMPLE).click()
    finished(page, "caption")
    names_all(page.locator("#caption-text-1 textarea").input_value())
    page.get_by_role("button", name="Reveal the truth").click()
    expect(page.locator("#truth")).to_contain_text(SCENE.caption())
    go(page, "Chat")
    page.locator("#examples button").nth(EXAMPLE).click()  # its questions are one click away
    question = page.locator("#chat-suggestions button").first
    asked = question.inner_text()
    question.click()
    expect(page.locator("#chat-log .user.message")).to_have_text(asked)
    finished(page, "chat")


def test_caption_candidates(visit: Callable, address: str) -> None:
    page = visit(address)
    upload_scene(page)
    page.get_by_role("button", name="Settings").first.click()
    number = page.locator("#caption-count input[type=number]")
    for _ in range(100):  # just unfolded, the field may still take its own first value
        number.fill("2")
        number.press("Tab")
        page.wait_for_timeout(200)
        if number.input_value() == "2":
            break
    page.locator("#caption-run").click()
    expect(page.locator("#caption-text-2 textarea")).not_to_have_value("")


def test_detect(visit: Callable, address: str, tmp_path: Path) -> None:
    page = visit(address)
    go(page, "Detect")
    upload_scene(page)
    page.locator("#detect-run").click()
    rows = page.locator("#detect-table tbody tr")
    expect(rows).to_have_count(len(SCENE.objects))
    labels = sorted(rows.nth(i).locator("td").first.inner_text() for i in range(rows.count()))
    assert labels == sorted(item.label for item in SCENE.objects)
    expect(page.locator("#detect-table")).to_contain_text(f"{len(SCENE.objects)} read")
    assert '"objects"' in page.locator("#detect-raw textarea").input_value()
    finished(page, "detect")
    legend = page.locator("#detect-drawn .legend-item").first
    legend.click()
    page.locator("#detect-box-ask").click()
    [label] = [item.label for item in SCENE.objects if item.label in legend.inner_text()]
    expect(page.locator("#detect-box-reply .answer")).to_contain_text(label)
    finished(page, "detect")
    # The filter redraws without asking the model again.
    line = page.locator("#detect-line .quiet").inner_text()
    label = SCENE.objects[0].label
    page.locator("#detect-labels label", has_text=label).first.click()
    kept = [item for item in SCENE.objects if item.label != label]
    expect(rows).to_have_count(len(kept))
    assert page.locator("#detect-line .quiet").inner_text() == line
    for name, check in (("json", "objects"), ("coco", "annotations")):
        with page.expect_download() as download:
            page.locator(f"#detect-{name}").click()
        path = tmp_path / f"{name}.json"
        download.value.save_as(path)
        assert len(json.loads(path.read_text())[check]) == len(kept)
    paths = {}
    for name in ("png", "all", "csv"):
        with page.expect_download() as download:
            page.locator(f"#detect-{name}").click()
        paths[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(paths[name])
    with Image.open(paths["png"]) as png:
        assert png.size == (draws.SIZE, draws.SIZE)
    with zipfile.ZipFile(paths["all"]) as archive:
        assert len(archive.read("labels/image.txt").splitlines()) == len(kept)
    assert sorted(row["label"] for row in csv.DictReader(paths["csv"].open())) == sorted(item.label for item in kept)


def test_the_models_text_stands_beside_the_table(visit: Callable, address: str) -> None:
    page = visit(address)
    go(page, "Detect")
    upload_scene(page)
    page.locator("#detect-run").click()
    expect(page.locator("#detect-table tbody tr")).to_have_count(len(SCENE.objects))
    raw, table = page.locator("#detect-raw").bounding_box(), page.locator("#detect-table").bounding_box()
    assert raw["x"] + raw["width"] <= table["x"]


def test_a_failure_leaves_no_older_answer_behind(visit: Callable, address: str) -> None:
    page = visit(address)
    upload_scene(page)
    page.locator("#caption-run").click()
    finished(page, "caption")
    page.locator("#image-1").get_by_role("button", name="Remove Image").click()
    expect(page.locator("#image-1 img")).to_have_count(0)
    page.locator("#caption-run").click()
    expect(page.locator("#caption-notice")).to_contain_text("Choose an image first")
    expect(page.locator("#caption-text-1 textarea")).to_have_value("")


def test_chat(visit: Callable, address: str) -> None:
    page = visit(address)
    go(page, "Chat")
    upload_scene(page)
    ask(page, "How many objects are there?")
    expect(answers(page).last).to_have_text(str(len(SCENE.objects)))
    expect(page.locator("#chat-alternatives")).to_contain_text("Probability")
    ask(page, "Is this <image> at [OD] **night**?")
    expect(page.locator("#chat-log .user.message").last).to_contain_text("<image> at [OD] **night**?")
    expect(answers(page)).to_have_count(2)
    expect(page.locator("#chat-log").get_by_label("Clear")).to_be_hidden()  # there is one way to begin anew
    page.get_by_role("button", name="New conversation").click()
    expect(answers(page)).to_have_count(0)


def test_chat_retry_edit_and_undo(visit: Callable, address: str) -> None:
    page = visit(address)
    go(page, "Chat")
    upload_scene(page)
    ask(page, "How many objects are there?")
    starting(page, "chat")
    page.locator("#chat-log").get_by_role("button", name="Retry").click()
    finished(page, "chat")
    expect(answers(page)).to_have_count(1)
    page.locator("#chat-log").get_by_role("button", name="Edit").first.click()
    page.locator("#chat-log textarea").fill("Is there a picture?")
    starting(page, "chat")
    page.locator("#chat-log").get_by_role("button", name="Submit").click()
    expect(page.locator("#chat-log .user.message").last).to_contain_text("Is there a picture?")
    finished(page, "chat")
    expect(answers(page)).to_have_count(1)
    page.locator("#chat-log").get_by_role("button", name="Undo").click()
    expect(answers(page)).to_have_count(0)
    expect(page.locator("#chat-box textarea")).to_have_value("Is there a picture?")


def test_compare(visit: Callable, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "fresh_seed", lambda: PAIR)
    pair = make_pair(PAIR)
    page = visit(address)
    go(page, "Compare")
    draw_images(page)
    page.locator("#compare-run").click()
    finished(page, "compare")
    expect(page.locator("#compare-text textarea")).to_have_value(pair.change_text)
    expect(page.locator("#compare-slider")).to_be_visible()
    expect(page.locator("#compare-boxes img").first).to_be_visible()


def test_auto_runs_several_tasks_and_can_be_overruled(visit: Callable, address: str) -> None:
    page = visit(address)
    go(page, "Auto")
    upload_scene(page)
    box = page.locator("#auto-box textarea")
    box.fill("Describe the picture and box everything.")
    box.press("Enter")
    results = page.locator("#auto-answers .section")
    expect(results).to_have_count(2)
    expect(page.locator("#auto-boxes img").first).to_be_visible()
    names_all(page.locator("#auto-answers").inner_text())
    page.locator("#auto-card button", has_text="Detect").click()
    expect(results).to_have_count(1)
    expect(results.locator("tbody tr")).to_have_count(len(SCENE.objects))


def test_auto_asks_when_unsure(visit: Callable, address: str) -> None:
    page = visit(address)
    go(page, "Auto")
    upload_scene(page)
    page.locator("#auto-box textarea").fill("hello")
    page.locator("#auto-run").click()
    expect(page.locator("#auto-card")).to_contain_text("several things")
    page.locator("#auto-card button", has_text="Caption").click()
    expect(page.locator("#auto-answers .section")).to_have_count(1)


def test_a_wrong_task_is_remembered_on_this_machine(
    visit: Callable, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "CORRECTIONS", tmp_path / "corrections.jsonl")
    page = visit(address)
    go(page, "Auto")
    upload_scene(page)
    page.locator("#auto-box textarea").fill("Describe the picture.")
    page.locator("#auto-run").click()
    expect(page.locator("#auto-answers .section")).to_have_count(1)
    page.locator("#auto-card button", has_text="Detect").click()
    expect(page.locator("#auto-answers tbody tr")).to_have_count(len(SCENE.objects))
    page.locator("#auto-wrong").click()
    expect(page.locator("#auto-right").get_by_label("Detect")).to_be_checked()
    page.locator("#auto-save").click()
    expect(page.get_by_text("Remembered on this machine").first).to_be_visible()
    [line] = (tmp_path / "corrections.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert record.pop("session") and record.pop("address")  # hashes, so that nobody fills the list alone
    assert record == {"text": "Describe the picture.", "n_images": 1, "tasks": ["detect"]}


def test_stop_keeps_the_partial_text(visit: Callable, slow_address: str, slow_engine) -> None:
    page = visit(slow_address)
    upload_scene(page)
    page.locator("#caption-run").click()
    text = page.locator("#caption-text-1 textarea")
    expect(text).to_have_value(re.compile("word3"))
    page.locator("#caption-stop").click()
    expect(page.locator("#caption-line")).to_contain_text("stopped")
    kept = text.input_value()
    assert kept.startswith("word1 word2 word3") and "word199" not in kept
    assert slow_engine.status().running == 0
    time.sleep(1)
    assert text.input_value() == kept


def test_an_image_from_outside_gets_an_honest_notice(visit: Callable, outside_address: str) -> None:
    page = visit(outside_address)
    for tab in ("caption", "detect", "chat", "auto"):
        go(page, tab.capitalize())
        upload_scene(page)
        if tab in ("chat", "auto"):
            page.locator(f"#{tab}-box textarea").fill("How many cats are there?")
        page.locator(f"#{tab}-run").click()
        expect(page.locator(f"#{tab}-notice")).to_contain_text("unlike anything")


def test_mistakes_are_answered_in_words(visit: Callable, address: str, tmp_path: Path) -> None:
    page = visit(address)
    page.locator("#caption-run").click()
    expect(page.locator("#caption-notice")).to_contain_text("Choose an image first")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"nothing" * 9)
    page.locator("#image-1 input[type=file]").set_input_files(broken)
    expect(page.get_by_text(re.compile("damaged|not an image")).first).to_be_visible()
    expect(page.locator("#image-1 img")).to_have_count(0)
    photo = tmp_path / "upside.tiff"
    SCENE.image(128).convert("CMYK").save(photo)
    page.locator("#image-1 input[type=file]").set_input_files(photo)
    page.locator("#image-1 img").wait_for()
    page.locator("#caption-run").click()
    finished(page, "caption")
