"""The page as a visitor finds it: photographs first, an answer at most one press away, icon scenes for others."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from benchmarks.tasks import Task, attempt, read_tasks, write_files
from tests.browser.conftest import PATIENCE
from tests.browser.steps import finished, starting, upload_scene


@pytest.fixture
def address(bundled: str) -> str:
    return bundled


def test_the_first_caption_is_at_most_one_press_away(address: str, visit: Callable) -> None:
    page = visit(address)
    expect(page.locator("#knows")).to_contain_text("everyday photographs")
    expect(page.locator("#image-1 img")).to_be_visible()
    page.locator("#caption-run").click()
    expect(page.locator("#caption-text-1 textarea")).to_have_value(re.compile("people"))
    finished(page, "caption")


def test_what_is_named_is_found(address: str, visit: Callable) -> None:
    page = visit(address)
    page.get_by_role("tab", name="Detect").click()
    finished(page, "detect")
    starting(page, "detect")
    page.locator("#detect-what textarea, #detect-what input").first.fill("boats")
    page.locator("#detect-run").click()
    finished(page, "detect")
    expect(page.locator("#detect-table")).to_contain_text("boat")
    expect(page.locator("#detect-sure")).to_be_visible()
    # A name below the image that is clicked becomes a box, for which there are words.
    page.locator("#detect-drawn .legend-item").first.click()
    expect(page.locator("#detect-box").locator("textarea, input")).to_have_value(re.compile(r"\d+, \d+, \d+, \d+"))
    page.locator("#detect-box-ask").click()
    expect(page.locator("#detect-box-reply .answer")).to_contain_text("boat")
    finished(page, "detect")
    starting(page, "detect")
    page.locator("#detect-run").click()  # a new run takes the words away
    finished(page, "detect")
    expect(page.locator("#detect-box-reply .answer")).to_have_count(0)


def test_a_visitor_changes_the_world_for_themself_alone(address: str, visit: Callable) -> None:
    page, neighbour = visit(address), visit(address)
    finished(page, "caption")
    starting(page, "caption")
    page.get_by_label("Icon scenes", exact=True).check()
    expect(page.locator("#knows")).to_contain_text("drawn icon scenes")
    expect(page.locator("#examples button")).to_have_count(6)
    expect(page.locator("#caption-text-1 textarea")).to_have_value(re.compile("frog"))
    finished(page, "caption")
    expect(page.locator("#caption-notice .notice")).to_have_count(0)
    expect(neighbour.locator("#knows")).to_contain_text("everyday photographs")
    expect(neighbour.locator("#examples button")).to_have_count(12)


def test_our_image_follows_the_world_and_ones_own_stays(address: str, visit: Callable) -> None:
    page = visit(address)
    finished(page, "caption")
    image, text, credit = (page.locator(name) for name in ("#image-1 img", "#caption-text-1 textarea", "#credit p"))
    expect(credit).to_contain_text("Photo: Flickr Commons")
    photograph = image.get_attribute("src")
    page.get_by_label("Icon scenes", exact=True).check()
    expect(text).to_have_value(re.compile("frog"))  # the answer comes with the scene, as when the page opens
    expect(image).not_to_have_attribute("src", photograph)
    expect(credit).to_have_text("")
    page.get_by_label("Photographs", exact=True).check()
    expect(image).to_have_attribute("src", photograph)
    expect(text).to_have_value(re.compile("people"))
    finished(page, "caption")
    upload_scene(page)
    expect(text).to_have_value("")
    expect(page.locator("#knows .notice")).to_be_visible()
    own = image.get_attribute("src")
    page.locator("#caption-run").click()
    expect(page.locator("#caption-notice")).to_contain_text("does not look like the photographs")
    page.get_by_label("Icon scenes", exact=True).check()
    expect(page.locator("#examples button")).to_have_count(6)
    expect(page.locator("#knows .notice")).to_be_hidden()
    expect(image).to_have_attribute("src", own)


EVERYDAY = (  # a few of the tasks of `benchmarks.tasks`, which does them all
    "Caption a photograph of mine in three clicks",
    "Be told what is wrong with a text file",
    "Find every icon",
    "Ask about an icon that is not there",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


@pytest.mark.parametrize("task", [task for task in read_tasks() if task.name in EVERYDAY], ids=lambda task: task.name)
def test_an_everyday_task_is_done(address: str, chromium, files: Path, task: Task) -> None:
    outcome = attempt(chromium, address, task, files, PATIENCE / 1000)
    assert outcome.how == "done", outcome.why
