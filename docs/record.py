"""Records the running page, as a visitor uses it: python -m docs.record [--to docs/recording.webp]

Chromium is driven through captioning, detecting, asking and comparing on photographs that come with the page. Nothing
is staged: what is recorded is what the bundled model says. Only waiting is shortened: while the model works nothing
stands still for longer than `STILL` seconds.
"""

from __future__ import annotations

import argparse
import io
import re
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.page import page_at
from vlm_demo.samples import samples

SIZE = {"width": 1200, "height": 760}  # pixels of the window
WIDTH = 900  # pixels of the recording
EVERY = 0.2  # seconds between two looks
STILL = 0.2  # seconds that an image may stand while something is awaited,
READ = 2.0  # and when it is there
PATIENCE = 600_000  # milliseconds


class Recorder:
    """Screenshots of a page, each with the time when it was taken; those that show nothing new are left out."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[tuple[float, Image.Image]] = []
        self.results: set[int] = set()  # those of `frames` that people want to read
        self._last = b""

    def look(self) -> None:
        """Take one now."""
        shot = self.page.screenshot(type="png")
        if shot != self._last:
            self._last = shot
            image = Image.open(io.BytesIO(shot)).convert("RGB")
            height = round(WIDTH * image.height / image.width)
            self.frames.append((time.perf_counter(), image.resize((WIDTH, height), Image.Resampling.LANCZOS)))

    def watch(self, done: Callable[[], object], rest: float = 1.0) -> None:
        """Take screenshots until `done()` and for a moment longer, when what came can be read."""
        while not done():
            self.look()
            self.page.wait_for_timeout(1000 * EVERY)
        end = time.perf_counter() + rest
        while time.perf_counter() < end:
            self.look()
            self.page.wait_for_timeout(1000 * EVERY)
        self.results.add(len(self.frames) - 1)

    def write(self, path: Path) -> None:
        """An animation that starts over at its end."""
        times = [moment for moment, _ in self.frames]
        most = [READ if number in self.results else STILL for number in range(len(times))]
        stands = [min(after - before, m) for before, after, m in zip(times, times[1:], most, strict=False)]
        images = [image for _, image in self.frames]
        images[0].save(
            path,
            save_all=True,
            append_images=images[1:],
            duration=[round(1000 * stand) for stand in [*stands, 2 * READ]],
            loop=0,
            quality=55,
            method=4,
        )


def use(page: Page, recorder: Recorder) -> None:
    """What the visitor does."""

    def run(tab: str) -> None:
        button = page.locator(f"#{tab}-run")
        button.click()
        expect(button).to_have_class(re.compile("busy"))
        recorder.watch(lambda: "busy" not in button.get_attribute("class"), rest=READ)

    def go(tab: str) -> None:
        page.get_by_role("tab", name=tab).click()
        page.locator(f"#{tab.lower()}-run").wait_for()
        recorder.watch(lambda: True, rest=0.6)

    recorder.watch(lambda: True)
    run("caption")
    go("Detect")
    run("detect")
    go("Chat")
    box = page.locator("#chat-box textarea")
    for question in ("What do you see?", "Are there any boats?"):
        box.press_sequentially(question, delay=40)
        recorder.look()
        run("chat")
    go("Compare")
    page.get_by_role("button", name="Add an image").click()
    cat = next(sample for sample in samples() if sample.path.stem == "cat")
    page.locator("#image-2 input[type=file]").set_input_files(cat.path)
    page.locator("#image-2 img").wait_for()
    recorder.watch(lambda: True)
    page.get_by_label("Which image shows …", exact=True).check()
    expect(page.locator("#compare-box textarea")).to_have_value("Which image shows a cat?")
    recorder.watch(lambda: True)
    run("compare")


def main() -> None:
    """Start the page, record it, and tell how large the recording is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    expect.set_options(timeout=PATIENCE)
    parser.add_argument("--to", type=Path, default=Path(__file__).with_name("recording.webp"))
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--url", help="of a page that runs already (default: one is started)")
    args = parser.parse_args()
    with page_at(args.url) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        page.locator("#image-1 img").wait_for()
        recorder = Recorder(page)
        use(page, recorder)
        browser.close()
    recorder.write(args.to)
    print(f"{len(recorder.frames)} screenshots, {args.to.stat().st_size / 1e6:.2f} MB in {args.to}")


if __name__ == "__main__":
    main()
