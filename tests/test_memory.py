"""The memory of the process."""

import ctypes
import json
import subprocess
import sys

import pytest

from vlm_demo import memory

CROWD = """
import ctypes, threading
from vlm_demo import memory
{first}
together = threading.Barrier(20)
def student():
    kept = bytearray(100_000)
    together.wait()
threads = [threading.Thread(target=student) for _ in range(20)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="is for Linux with glibc"
)
@pytest.mark.parametrize(("first", "few"), [("memory.share(2)", True), ("", False)])
def test_a_crowd_of_threads_shares_two_places_to_take_memory_from(first, few):
    done = subprocess.run([sys.executable, "-c", CROWD.format(first=first)], capture_output=True, text=True, check=True)
    assert (done.stderr.count("Arena") <= 2) == few


TIDY = """
import time
from vlm_demo import memory
memory.keep_tidy(0.05)
blocks = [b"x" * 60_000 for _ in range(2000)]
last, full = blocks[-1], memory.resident()
del blocks
deadline = time.monotonic() + 60
while memory.resident() > full - 100_000_000:
    assert time.monotonic() < deadline
    sum(range(100_000))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_tidy_process_gives_back_what_it_no_longer_needs():
    subprocess.run([sys.executable, "-c", TIDY], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_given_back_is_no_longer_resident():
    before = memory.resident()
    blocks = [b"x" * 60_000 for _ in range(1000)]  # each too small to be mapped by itself
    assert memory.resident() > before + 50_000_000
    last = blocks[-1]
    del blocks
    memory.give_back()
    assert memory.resident() < before + 20_000_000 and len(last) == 60_000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_loads_and_unloads_leave_nothing_behind(checkpoint, tmp_path):
    import families

    families.save("git", tmp_path / "git")
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.reloading", "--json", file, "--models", checkpoint, tmp_path / "git"]
    subprocess.run(command, check=True, capture_output=True)
    figures = json.loads(file.read_text())
    assert len(figures["loads"]) == 10
    assert figures["growth"][0]["last rounds over first ones"] < 1.05
    left = [row["tensors left, MB"] for row in figures["loads"]]
    assert left[-1] == left[0], "no tensor of a model that has gone is held by anybody"
