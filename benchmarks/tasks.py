"""Everyday tasks, done on the running page as a person does them: python -m benchmarks.tasks [--only WORDS ...]

The tasks and what must be there at their end stand in tasks.tsv. Each is done by a new visitor in Chromium. It is done,
or the page failed, or the page did its part and the model answered wrongly; the three are counted apart.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from gradio_client import Client, handle_file
from PIL import ExifTags, Image, ImageDraw
from playwright.sync_api import Browser, expect, sync_playwright
from playwright.sync_api import Error as BrowserError

from benchmarks.page import page_at
from benchmarks.steps import Visitor, Wrong
from vlm_demo.samples import samples

TABLE = Path(__file__).with_suffix(".tsv")
FLAGS = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@dataclass(frozen=True)
class Task:
    """One line of the table: what a person wants, the steps, and the checks."""

    name: str
    steps: tuple[str, ...]
    checks: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a task ended: "done", "model" (answered wrongly) or "page" (failed), after so many seconds, and why."""

    name: str
    how: str
    seconds: float
    why: str = ""


def read_tasks(table: Path = TABLE) -> list[Task]:
    """The tasks of a table, without its comments."""
    lines = [line for line in table.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    rows = [line.split("\t") for line in lines]
    return [Task(name, tuple(steps.split(" ; ")), tuple(checks.split(" ; "))) for name, steps, checks in rows]


def write_files(folder: Path) -> None:
    """What people bring along: the photographs of the page in several forms, and things that are no photographs."""
    photographs = {sample.path.stem: sample.open() for sample in samples()}
    for sample in samples():
        shutil.copy(sample.path, folder)
    photographs["wine"].save(folder / "wine.png")
    photographs["horses"].save(folder / "horses.webp")
    photographs["cat"].convert("CMYK").save(folder / "cat.tiff")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photographs["cat"].rotate(90, expand=True).save(folder / "turned.jpg", exif=exif)
    photographs["boats"].resize((4000, 300)).save(folder / "wide.png")
    Image.new("RGB", (1, 1), "red").save(folder / "dot.png")
    chart = Image.new("RGB", (800, 600), "white")
    for number, height in enumerate((120, 340, 220, 480, 300)):
        ImageDraw.Draw(chart).rectangle([60 + 140 * number, 560 - height, 160 + 140 * number, 560], fill="steelblue")
    chart.save(folder / "chart.png")
    (folder / "notes.txt").write_text("Milk, bread, apples.\n" * 20)
    (folder / "paper.pdf").write_bytes(b"%PDF-1.7\n" + b"1 0 obj\n" * 50)
    (folder / "broken.png").write_bytes((folder / "wine.png").read_bytes()[:900])


def attempt(browser: Browser, url: str, task: Task, files: Path, patience: float) -> Outcome:
    """Let a new visitor do a task."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(patience * 1000)
    expect.set_options(timeout=patience * 1000)
    begin = time.perf_counter()
    how, why = "page", ""
    try:
        page = context.new_page()
        visitor = Visitor(page, files, patience)
        page.goto(url)
        page.get_by_role("tab", name="Caption").wait_for()
        page.locator("#image-1 img").wait_for()
        for step in task.steps:
            why = step
            visitor.do(step)
        for check in task.checks:
            why = check
            how = "model" if check.startswith("(model) ") else "page"
            visitor.do(check.removeprefix("(model) "))
        how, why = "done", ""
    except (Wrong, AssertionError, BrowserError) as error:
        why = f"{why}: {str(error).splitlines()[0]}"
        if how == "model" and not visitor.text():  # it was never asked, or its answer never came
            how = "page"
    finally:
        context.close()
    return Outcome(task.name, how, round(time.perf_counter() - begin, 2), why)


def attempt_all(url: str, tasks: list[Task], files: Path, chromium: str, patience: float) -> Iterator[Outcome]:
    """Let a new visitor do each task, one after the other."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for task in tasks:
            yield attempt(browser, url, task, files, patience)
        browser.close()


def main() -> None:
    """Print each task with how it ended, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""], help="only tasks whose name holds one of these words")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--patience", type=float, default=30, help="seconds that anything on the page may take")
    parser.add_argument("--url", help="of a page that runs already on the bundled models (default: one is started)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    tasks = [task for task in read_tasks() if any(words.lower() in task.name.lower() for words in args.only)]
    outcomes = []
    with tempfile.TemporaryDirectory() as name, page_at(args.url) as url:
        folder = Path(name)
        write_files(folder)
        # The server is warm: it has answered once.
        client = Client(url, verbose=False, download_files=False, httpx_kwargs={"timeout": 600})
        client.predict(image=handle_file(str(folder / "wine.jpg")), style="brief", api_name="/caption")
        for outcome in attempt_all(url, tasks, folder, args.chromium, args.patience):
            outcomes.append(outcome)
            print(f"{outcome.how:6} {outcome.seconds:6.1f} s  {outcome.name}  {outcome.why}", flush=True)
    counts = Counter(outcome.how for outcome in outcomes)
    print(f"{counts['done']} of {len(tasks)} done, the page failed {counts['page']}, the model {counts['model']}")
    if args.json:
        args.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))


if __name__ == "__main__":
    main()
