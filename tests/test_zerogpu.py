"""A ZeroGPU Space: answers come from forked processes, and no thread of ours runs beside them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import image
from vlm_demo.engine import zerogpu
from vlm_demo.engine.zerogpu import ForkedAnswer
from vlm_demo.images import load
from vlm_demo.results import EngineError, Message, Request, Result, SamplingParameters

FOLDER = Path(__file__).with_name("zerogpu")


@pytest.fixture(scope="module")
def visit(checkpoint):
    """What a visitor of such a Space got from a tiny model."""
    paths = os.pathsep.join([str(FOLDER), str(FOLDER.parent.parent)])
    environment = {**os.environ, "SPACES_ZERO_GPU": "true", "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, FOLDER / "visit.py", checkpoint],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_answers_are_those_of_any_other_machine(visit, engine):
    from PIL import Image

    red = Image.new("RGB", (90, 60), (200, 30, 30))
    assert visit["caption"] == engine.caption(red, settings=SamplingParameters(max_new_tokens=6)).text
    assert visit["boxes"]


def test_text_comes_as_it_is_written(visit):
    *before, last = visit["followed"]
    assert last == visit["caption"] and len(set(before)) > 2
    assert all(last.startswith(text) for text in before)


def test_stop_keeps_what_is_written_and_ends_the_other_process(visit):
    reason, tokens = visit["cancelled"]
    assert reason == "cancelled" and 0 < tokens < 10


def test_what_is_refused_there_is_told_in_its_own_words(visit):
    assert "shorter question" in visit["refused"]


def test_no_batching_thread_and_no_model_live_in_the_page(visit):
    assert "vlm-engine" not in visit["threads"] and not visit["loaded_here"]


def test_a_visitor_whose_quota_is_used_up_reads_why():
    def begin():
        raise RuntimeError("You have exceeded your GPU quota")

    with pytest.raises(EngineError, match="GPU quota"):
        ForkedAnswer(begin, Result("caption", "")).result()


def test_elsewhere_nothing_is_marked(checkpoint):
    assert zerogpu.marked(zerogpu.write) is zerogpu.write
    request = Request("caption", (Message("user", (load(image(1)), "brief")),), SamplingParameters(max_new_tokens=3))
    assert list(zerogpu.write(str(checkpoint), "float32", request))[-1].finish_reason == "length"
