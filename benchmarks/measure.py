"""What the benchmarks share: alternating runs, medians, tables, the memory of a process."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from train.report import machine, table

Contender = Callable[[], float]  # runs once, gives seconds


def alternate(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender, `rounds` alternating runs, so that a busy machine slows all of them alike.

    Each runs once before, unmeasured.
    """
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            seconds[name].append(run())
    return seconds


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times faster: the median over rounds of the ratio within a round."""
    return statistics.median(one / other for one, other in zip(slow, fast, strict=True))


def timed(function: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def quantile(values: Sequence[float], fraction: float) -> float:
    """The value below which `fraction` of the values lie, by the nearest rank; NaN without values."""
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(fraction * len(values)))]


def fairness(values: Sequence[float]) -> float:
    """Jain's index of what each user got: 1 when all got the same, 1/n when one got everything; NaN without users."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else float("nan")


def memory(pid: int | None = None, field: str = "VmRSS") -> int:
    """Bytes of a process, or of this one (Linux; 0 elsewhere): `VmRSS` now, `VmHWM` at its peak."""
    return 1024 * _status(pid or os.getpid(), field)


def cpu_seconds(pid: int | None = None) -> float:
    """Seconds that the threads of a process, or of this one, have computed (Linux; 0 elsewhere)."""
    try:
        fields = Path(f"/proc/{pid or os.getpid()}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads(pid: int) -> int:
    """Number of threads of a process (Linux; 0 elsewhere)."""
    return _status(pid, "Threads")


def _status(pid: int, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)


def report(sections: Mapping[str, Sequence[Mapping[str, Any]]], file: Path | None) -> None:
    """Print a table a section; write all of it, with the machine, to a JSON file if one is named."""
    for title, rows in sections.items():
        print(f"\n{title}\n\n{table(rows)}", flush=True)
    if file:
        save(sections, file)


def save(sections: Mapping[str, Sequence[Mapping[str, Any]]], file: Path) -> None:
    """Write figures, with the machine, to a JSON file."""
    file.write_text(json.dumps({"where": machine(), **sections}, indent=2), encoding="utf-8")
