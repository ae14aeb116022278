"""Is each setting of the page's process worth it? python -m benchmarks.process_settings [--users 32] [--rounds 3]

`app.py` sets how long idle threads of torch spin, how often Python's threads take turns, from how many places glibc
takes memory, and that freed memory goes back to the system. Here the page starts as it is and without each of them in
turn, and a class presses Run, as in `benchmarks.load`: on images that all share, then on new ones. Figures are medians
of the rounds; "of" is the median of the ratio to the page as it is, within a round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.load import crowd
from benchmarks.measure import ratio, report
from benchmarks.page import make_jobs, over_http, running_app
from vlm_demo.engine import ICONS

AS_IT_IS = "as it is"
RUN = "import runpy; runpy.run_path('app.py', run_name='__main__')"
# What takes each setting away again: Python that runs before app.py, and variables of the environment.
WITHOUT: dict[str, tuple[str, dict[str, str]]] = {
    AS_IT_IS: ("", {}),
    "idle threads spin as long as libgomp lets them": ("", {"GOMP_SPINCOUNT": "300000"}),
    "Python's own switch interval": ("import sys; sys.setswitchinterval = lambda seconds: None; ", {}),
    "as many memory arenas as glibc likes": ("from vlm_demo import memory; memory.share = lambda: None; ", {}),
    "freed memory is kept": ("from vlm_demo import memory; memory.keep_tidy = lambda: None; ", {}),
}
REST = 3.0  # seconds after a crowd in which freed memory may go back
SEED = 50_000_000  # of images that no other benchmark draws


def measure(name: str, users: int, each: int, seed: int) -> dict[str, dict[str, float]]:
    """Start the page without a setting, let the crowds come, and give their figures by kind of images."""
    before, variables = WITHOUT[name]
    figures: dict[str, dict[str, float]] = {}
    with running_app(str(ICONS), program=("-c", before + RUN), environment=variables) as (app, folder):
        clients = [app.client() for _ in range(users)]
        over_http(clients[0])(make_jobs(folder, 1, 1, True, seed)[0][0])  # loads the model
        for shared in (True, False):
            seed += 1_000_000
            jobs = make_jobs(folder, users, each, shared, seed)
            seen = crowd([over_http(client) for client in clients], jobs, app.process.pid).row()
            time.sleep(REST)
            figures["shared" if shared else "new"] = {
                "tokens/s": seen["tokens/s"],
                "p95 s": seen["p95 s"],
                "CPU s of the page": seen["CPU s"],
                "MB afterwards": app.memory() / 1e6,
                "MB at most": app.memory("VmHWM") / 1e6,
                "not answered": seen["failed"] + seen["refused"],
            }
        for client in clients:
            client.close()
    return figures


def compare(runs: dict[str, list[dict[str, dict[str, float]]]]) -> list[dict[str, Any]]:
    """A row for each kind of images and each page: medians, and ratios to the page as it is."""
    rows = []
    for kind in ("shared", "new"):
        for name, rounds in runs.items():
            row: dict[str, Any] = {"images": kind, "page": name}
            for figure in rounds[0][kind]:
                values = [one[kind][figure] for one in rounds]
                row[figure] = statistics.median(values)
                if figure in ("tokens/s", "CPU s of the page", "MB afterwards"):
                    row[f"of {figure}"] = ratio(values, [one[kind][figure] for one in runs[AS_IT_IS]])
            rows.append(row)
    return rows


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=32, help="size of the crowd")
    parser.add_argument("--each", type=int, default=4, help="requests of each user in each crowd")
    parser.add_argument("--rounds", type=int, default=3, help="how often all pages take turns")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    runs: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in WITHOUT}
    measure(AS_IT_IS, args.users, 1, SEED - 10_000_000)  # the first page of all starts slowly, whatever its settings
    for number in range(args.rounds):
        for name in WITHOUT:
            runs[name].append(measure(name, args.users, args.each, SEED + 10_000_000 * number))
    report({"settings of the process": compare(runs)}, args.json)


if __name__ == "__main__":
    main()
