"""A person at the running page: what they do there, step by step, and what they look for, for `benchmarks.tasks`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

ANSWERS = {  # where each tab's answer stands
    "caption": "#caption-text-1 textarea",
    "detect": "#detect-table",
    "chat": "#chat-log .bot.message >> nth=-1",
    "compare": "#compare-text textarea",
    "auto": "#auto-answers",
    "live": "#live-camera .answer",
    "game": "#game-board",
}


class Wrong(Exception):
    """What is on the page is not what was expected."""


class Visitor:
    """A person at the page. The steps and checks of the table are methods; `clicks` counts what they pressed."""

    def __init__(self, page: Page, files: Path, patience: float) -> None:
        """`files`: the folder of what they may upload; `patience` in seconds for anything to happen."""
        self.page, self.files, self.patience = page, files, patience
        self.tab_name = "caption"
        self.clicks = 0
        self.begin = time.perf_counter()

    def visible(self, selector: str) -> Locator:
        return self.page.locator(f"{selector} >> visible=true")

    def until(self, true: Callable[[], object], complaint: str) -> None:
        """Wait until `true()`."""
        deadline = time.perf_counter() + self.patience
        while not true():
            if time.perf_counter() > deadline:
                raise Wrong(complaint)
            self.page.wait_for_timeout(50)

    def settled(self, asked: bool = False) -> None:
        """Wait until nothing runs on the open tab; `asked`: something should have begun, which may take a moment."""
        run = self.page.locator(f"#{self.tab_name}-run")
        end = time.perf_counter() + (1.5 if asked else 0.15)
        while time.perf_counter() < end and "busy" not in run.get_attribute("class"):
            self.page.wait_for_timeout(20)
        expect(run).not_to_have_class(re.compile("busy"))
        self.page.wait_for_timeout(100)

    # Steps

    def open(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab).click()
        self.tab_name = tab.lower()
        self.page.locator(f"#{self.tab_name}-run").wait_for()
        self.clicks += 1
        self.settled()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name).locator("visible=true").first.click()
        self.clicks += 1
        self.settled()
        if name.startswith(("Another", "New", "Two", "Which")):
            self.visible(".slots img").first.wait_for()
            self.page.wait_for_timeout(500)  # the image is there, and the page has heard of it

    def choose(self, label: str) -> None:
        self.page.get_by_label(label, exact=True).locator("visible=true").first.check()
        self.clicks += 1
        self.page.wait_for_timeout(300)

    def uncheck(self, label: str) -> None:
        self.page.get_by_label(label, exact=True).locator("visible=true").first.uncheck()
        self.clicks += 1

    def example(self, number: str) -> None:
        self.visible(".examples button").nth(int(number) - 1).click()
        self.clicks += 1
        self.page.wait_for_timeout(700)

    def upload(self, names: str) -> None:
        for number, name in enumerate(names.split(", "), 1):
            self.replace_image(number, self.files / name)
        self.page.wait_for_timeout(700)

    def replace_image(self, number: int, file: Path) -> None:
        """Put a file into a slot: a click on its upload button or place, one on the file."""
        slot = self.page.locator(f"#image-{number}")
        if number > 1 and not slot.is_visible():
            self.press("Add an image")
        place = (
            slot.get_by_label("Upload file")
            if slot.locator("img").count()
            else slot.locator(".upload-container >> visible=true").first
        )
        with self.page.expect_file_chooser() as chooser:
            place.click()
        chooser.value.set_files(file)
        self.clicks += 2

    def remove(self) -> None:
        self.visible(".slots").get_by_role("button", name="Remove Image").first.click()
        self.clicks += 1
        self.page.wait_for_timeout(300)

    def type(self, text: str) -> None:
        box = {"detect": "#detect-what", "live": "#live-question"}.get(self.tab_name, f"#{self.tab_name}-box")
        self.page.locator(f"{box} textarea, {box} input").first.fill(text)

    def ask(self, question: str) -> None:
        self.type(question)
        self.page.keyboard.press("Enter")
        self.settled(asked=True)

    def run(self) -> None:
        self.page.locator(f"#{self.tab_name}-run").click()
        self.clicks += 1
        if self.tab_name != "live":
            self.settled(asked=True)

    def stop(self) -> None:
        self.page.locator(f"#{self.tab_name}-stop").click()

    def settings(self) -> None:
        self.page.get_by_role("button", name="Settings").locator("visible=true").click()
        self.page.wait_for_timeout(500)

    def fill(self, label_and_value: str) -> None:
        label, value = label_and_value.rsplit(" ", 1)
        number = self.page.get_by_label(f"number input for {label}").locator("visible=true")
        number.fill(value)
        number.press("Tab")

    def key(self, keys: str) -> None:
        first, *more = keys.split()
        if first == "Tab":
            self.page.get_by_role("tab", name="Caption").focus()
        else:
            self.page.keyboard.press(first)
        for one in more:
            self.page.keyboard.press(one)
        self.settled()

    def phone(self) -> None:
        self.page.set_viewport_size({"width": 390, "height": 844})

    def pause(self) -> None:
        self.page.wait_for_timeout(700)

    # Checks

    def text(self) -> str:
        """The answer on the open tab."""
        place = self.page.locator(ANSWERS[self.tab_name]).first
        if not place.count():
            return ""
        return place.input_value() if "textarea" in ANSWERS[self.tab_name] else place.inner_text()

    def answer(self, pattern: str) -> None:
        self.until(lambda: re.search(pattern, self.text(), re.IGNORECASE), f"{self.text()!r} is not {pattern!r}")

    def does_not(self, pattern: str) -> None:
        if re.search(pattern, self.text(), re.IGNORECASE):
            raise Wrong(f"{self.text()!r} is {pattern!r}")

    def words(self, count: str) -> None:
        self.until(lambda: len(self.text().split()) >= int(count), f"fewer than {count} words: {self.text()!r}")

    def rows(self) -> list[str]:
        """The labels of the boxes that the open tab lists."""
        table = self.page.locator(f"{ANSWERS[self.tab_name]} tbody tr td:first-child")
        return [label.strip() for label in table.all_inner_texts()]

    def finds(self, label_and_count: str) -> None:
        label, count = label_and_count.rsplit(" ", 1)
        self.until(lambda: self.rows().count(label) >= int(count), f"{self.rows()} are not {count} {label}")

    def only(self, label: str) -> None:
        if set(self.rows()) != {label}:
            raise Wrong(f"{self.rows()} are not {label} alone")

    def nothing(self) -> None:
        self.until(lambda: "Nothing found" in self.text(), f"{self.rows()} are found, but nothing is there")

    def hidden(self, label: str) -> None:
        self.until(lambda: label not in self.rows(), f"{label} is still shown")

    def drawn(self) -> None:
        shown = {"detect": "#detect-drawn img", "auto": "#auto-boxes img", "compare": "#compare-boxes img"}
        self.visible(shown[self.tab_name]).first.wait_for()

    def raw(self, words: str) -> None:
        self.until(lambda: words in self.page.locator("#detect-raw textarea").input_value(), "no text of the model")

    def notice(self, pattern: str) -> None:
        place = self.page.locator(f"#{self.tab_name}-notice")
        self.until(lambda: re.search(pattern, place.inner_text(), re.IGNORECASE), f"not told: {place.inner_text()!r}")

    def says(self, pattern: str) -> None:
        body = self.page.locator("body")
        self.until(lambda: re.search(pattern, body.inner_text(), re.IGNORECASE), f"{pattern!r} stands nowhere")

    def gone(self) -> None:
        self.until(lambda: not self.text(), f"{self.text()!r} is still there")

    def candidates(self, count: str) -> None:
        boxes = self.visible(".answer-box textarea")
        self.until(
            lambda: [bool(box.input_value()) for box in boxes.all()] == [True] * int(count), f"not {count} candidates"
        )

    def turns(self, count: str) -> None:
        expect(self.page.locator("#chat-log .bot.message")).to_have_count(int(count))

    def sections(self, count: str) -> None:
        expect(self.page.locator("#auto-answers .section")).to_have_count(int(count))

    def file(self, name_and_suffix: str) -> None:
        name, suffix = name_and_suffix.rsplit(" ", 1)
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=name, exact=True).locator("visible=true").click()
        if not download.value.suggested_filename.endswith(suffix) or not download.value.path().stat().st_size:
            raise Wrong(f"{download.value.suggested_filename} is no {suffix}")

    def tab(self, name: str) -> None:
        expect(self.page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")

    def narrow(self) -> None:
        if self.page.evaluate("document.documentElement.scrollWidth") > 390:
            raise Wrong("the page is wider than the screen")

    def within(self, seconds: str) -> None:
        taken = time.perf_counter() - self.begin
        if taken > float(seconds):
            raise Wrong(f"took {taken:.1f} s")

    def clicked(self, most: str) -> None:
        if self.clicks > int(most):
            raise Wrong(f"took {self.clicks} clicks")

    def do(self, words: str) -> None:
        """One step or check of the table: a method's name, then what it is given."""
        name, _, inputs = words.partition(" ")
        method = getattr(self, {"not": "does_not", "clicks": "clicked"}.get(name, name))
        method(*[inputs] * bool(inputs))
