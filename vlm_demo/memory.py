"""The memory of this process as the system sees it. Where there is no Linux or no glibc, nothing is known or done."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from pathlib import Path

ARENAS = -8  # M_ARENA_MAX in malloc.h
WORK = 0.02  # seconds of computing, after which there may be something to give back


def resident() -> int:
    """Bytes of memory that this process holds (Linux; 0 elsewhere)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def available() -> int | None:
    """Bytes that programs may still take without making this machine swap (Linux; None elsewhere)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def share(arenas: int = 2) -> None:
    """Let all threads take memory from so few places, before they start.

    By default glibc makes eight places a core, and what one thread frees in its own is of no use to the others: the
    hundred threads of a class would each hold on to images and answers that are long done.
    """
    mallopt = getattr(_libc(), "mallopt", None)
    if mallopt is not None:
        mallopt(ARENAS, arenas)


def give_back() -> None:
    """Return what was freed to the system: it stays in the process until glibc is asked for it."""
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def keep_tidy(seconds: float = 1.0) -> None:
    """Give back what was freed every so often from now on; a crowd's images otherwise leave holes that add up.

    Only when the process has worked: looking through its memory takes time, and after a rest there is nothing to find.
    """

    def tidy() -> None:
        before = 0.0
        while True:
            time.sleep(seconds)
            if time.process_time() - before > WORK:
                give_back()
                before = time.process_time()

    threading.Thread(target=tidy, name="tidy", daemon=True).start()


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
