"""What a page costs that nobody uses: python -m benchmarks.idle [--seconds 60] [--json FILE]

Starts the page as people do, on the bundled models, lets it answer once, and then counts the processor's seconds that
its process takes while nobody is there, and while a browser (Chromium, where it is installed, or $CHROMIUM) shows it
and nobody touches it. As a share of a core that hardly depends on how busy the machine is.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import cpu_seconds, report
from benchmarks.page import App, Job, over_http, running_app
from vlm_demo.samples import samples

STEP, REST, PATIENCE = 5.0, 0.02, 120.0  # seconds; of a core; seconds in which what was started comes to rest
HEADLESS = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking".split()


@contextlib.contextmanager
def open_page(url: str) -> Iterator[bool]:
    """A browser that shows the page meanwhile; False where there is none."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if browser is None:
        yield False
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser, *HEADLESS, f"--user-data-dir={profile}", url]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield True
        finally:
            process.terminate()
            process.wait()


def idle(app: App, visitors: str, seconds: float) -> dict[str, Any]:
    """What the page's process computes in so many seconds, once it has come to rest."""

    def look(seconds: float) -> tuple[float, float]:
        begin, before = time.perf_counter(), cpu_seconds(app.process.pid)
        time.sleep(seconds)
        return time.perf_counter() - begin, cpu_seconds(app.process.pid) - before

    deadline = time.perf_counter() + PATIENCE
    while time.perf_counter() < deadline:
        wall, cpu = look(STEP)
        if cpu < REST * wall:
            break
    wall, cpu = look(seconds)
    return {"visitors": visitors, "seconds": wall, "CPU seconds": cpu, "of a core, %": 100 * cpu / wall}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two measurements (default: 60)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    with running_app() as (app, folder):
        image = folder / "photograph.jpg"
        samples()[0].open().save(image)
        client = app.client()
        over_http(client)(Job("caption", (image,), "brief"))
        client.close()
        rows = [idle(app, "none", args.seconds)]
        with open_page(app.url) as shown:
            if shown:
                rows.append(idle(app, "one page that nobody touches", args.seconds))
    report({"idle": rows}, args.json)


if __name__ == "__main__":
    main()
