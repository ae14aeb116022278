"""The benchmarks measure what they say: on tiny models, in seconds."""

import asyncio
import json
import os
import time

import httpx
import pytest
import torch
from gradio_client import Client

from benchmarks import decode, load, page, soak, standin, visitors
from benchmarks.measure import alternate, fairness, memory, quantile, ratio, report, table, threads
from tests.fake_engine import FakeRunner
from tests.tiny import tiny_config, tiny_model, tiny_processor
from vlm_demo.engine import Engine
from vlm_demo.engine import models as engine_models
from vlm_demo.ui import build_app, launch_options


def test_contenders_run_by_turns_after_one_unmeasured_run():
    order = []
    seconds = alternate({name: lambda name=name: order.append(name) or len(order) for name in "ab"}, 2)
    assert order == ["a", "b"] * 3 and seconds == {"a": [3, 5], "b": [4, 6]}


def test_a_ratio_is_taken_within_the_rounds():
    assert ratio([2.0, 20.0, 4.0], [1.0, 10.0, 1.0]) == 2.0


def test_quantiles_and_fairness():
    assert [quantile(range(100), share) for share in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert quantile([7], 0.99) == 7 and quantile([], 0.5) != quantile([], 0.5)
    assert fairness([3, 3, 3]) == pytest.approx(1) and fairness([9, 0, 0]) == pytest.approx(1 / 3)


def test_a_table_is_aligned_markdown():
    assert table([{"way": "ours", "ms": 1.23456}, {"way": "x", "ms": 1234.5}]) == (
        "| way  | ms    |\n| ---- | ----- |\n| ours | 1.23  |\n| x    | 1,234 |"
    )


def test_a_report_is_printed_and_written(tmp_path, capsys):
    report({"speed": [{"way": "ours", "ms": 2.0}]}, tmp_path / "figures.json")
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["speed"] == [{"way": "ours", "ms": 2.0}] and written["where"]["cores"] > 0
    assert "| ours | 2" in capsys.readouterr().out


def test_memory_of_this_process():
    assert memory() > 10_000_000 and memory(field="VmHWM") > 10_000_000
    assert threads(os.getpid()) >= 1


def test_decoding_is_measured_on_the_same_tokens():
    shape = decode.Shape("tiny", lambda: tiny_model(tiny_config(tiny_processor())), 32, torch.float32, 6, 4)
    begin = time.perf_counter()
    sections = decode.measure(shape, rounds=1, sequences=[1, 3])
    took = time.perf_counter() - begin
    single, profile, batch, first = sections.values()
    assert [row["way"] for row in single][:4] == [
        "tutorial loop",
        "generate(), dynamic cache",
        "generate(), static cache",
        "ours",
    ]
    assert all(row["same"] == 1 for row in single[:4])
    assert all(0 < row["ms/token"] < 1000 * took for row in single)
    shares = [row["share of the time"] for row in profile]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1 and all(row["operation"] for row in profile)
    assert set(batch[0]) == {"way", "1 sequences, tokens/s", "3 sequences, tokens/s"} and first[0]["new image, ms"] > 0


def test_a_crowd_is_counted():
    def call(job: page.Job) -> int:
        if job.text == "refuse":
            raise page.Refused
        if job.text == "fail":
            raise ValueError("broken")
        time.sleep(0.01)
        return 5

    jobs = [[page.Job("vqa", (), text)] * 2 for text in ("fine", "fine", "refuse", "fail")]
    row = load.crowd([call] * 4, jobs).row()
    assert (row["answered"], row["refused"], row["failed"]) == (4, 2, 2)
    assert 0.01 <= row["p50 s"] <= row["p99 s"] and row["tokens/s"] == pytest.approx(5 * row["requests/s"])
    assert 0.3 < row["fairness"] < 0.6  # two of four got nothing


def test_jobs_are_mixed_and_images_shared_or_not(tmp_path):
    shared = page.make_jobs(tmp_path, users=5, each=4, shared=True, seed=1)
    own = page.make_jobs(tmp_path, users=2, each=2, shared=False, seed=1)
    assert {job.task for job in shared[0]} == {"caption", "detect", "vqa", "compare"}
    assert len({file for user in shared for job in user for file in job.files}) == 5  # one of the four is a pair
    files = [file for user in own for job in user for file in job.files]
    assert len(set(files)) == len(files) and all(file.exists() for file in files)


def test_the_reference_does_the_same_work(checkpoint, tmp_path):
    engine = Engine(checkpoint, device="cpu", dtype="float32")
    reference, ours = load.one_at_a_time(checkpoint), load.straight(engine, "me")
    jobs = page.make_jobs(tmp_path, users=1, each=4, shared=True, seed=3)[0]
    assert "detect" in {job.task for job in jobs}
    for job in jobs:
        assert reference(job) == ours(job) > 0, job.task
    engine.close()


def test_a_soak_notices_growth_failures_and_hanging():
    level = soak.Record(soak.Counter(answered=9), memory=[100, 150, 150, 151, 150, 149] * 5, threads=[20] * 30)
    assert soak.verdict(level)["well"] == "yes"
    for worse in (
        soak.Record(soak.Counter(answered=9, failed=1), memory=[150] * 30, threads=[20] * 30),
        soak.Record(soak.Counter(answered=9, hung=1), memory=[150] * 30, threads=[20] * 30),
        soak.Record(soak.Counter(answered=9), memory=list(range(100, 400, 10)), threads=[20] * 30),
        soak.Record(soak.Counter(answered=9), memory=[150] * 30, threads=list(range(10, 40))),
    ):
        assert soak.verdict(worse)["well"] == "no"


def test_an_engine_elsewhere_keeps_the_pace_that_was_measured():
    pace = standin.Pace(0.02, ((1, 100.0), (5, 300.0)), engines=2)
    assert standin.Pace.from_json(pace.to_json()) == pace
    # One or two answers have an engine each; three share one of them, so its 150 or so tokens a second.
    assert [pace.token_seconds(n) for n in (1, 2, 3, 10)] == pytest.approx([1 / 100, 1 / 100, 2 / 150, 5 / 300])
    assert pace.token_seconds(20) == pytest.approx(10 / 300)


def test_visitors_of_a_page_whose_model_is_elsewhere(monkeypatch):
    monkeypatch.setenv("VLM_DEMO_API_KEY", "none")
    with visitors.standin(standin.Pace(0.01, ((1, 500.0),)), tokens=5) as url:
        engine = Engine(f"smolvlm={url}")
        demo = build_app(engine)
        _, address, _ = demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **launch_options())
        seen = asyncio.run(visitors.crowd(address, size=2, seconds=1.0, reading=0.2, seed=1))
        timings = httpx.get(f"{url}/timings").json()["seconds"]
        demo.close()
        engine.close()
    assert seen.failed == [] and len(seen.whole) == len(seen.first) == len(timings) >= 2
    assert all(first <= whole for first, whole in zip(seen.first, seen.whole, strict=True))
    assert min(seen.whole) >= min(timings) == pytest.approx(0.018, abs=0.01)


def test_users_of_a_soak_count_their_ends(tmp_path):
    class Page:
        """A page that answers what is fine and turns away what is not."""

        def __init__(self):
            self.open = True

        def predict(self, **request):
            if "junk" in str(request) or not request.get("question", "x").strip() or len(str(request)) > 20_000:
                raise ValueError("Please send a picture and a question.")
            return {"tokens": 3}

        def submit(self, **request):
            return self

        def cancel(self):
            return True

        def close(self):
            self.open = False

    (tmp_path / "junk.png").write_bytes(b"no")
    record, jobs = soak.Record(), page.make_jobs(tmp_path, 1, 4, True, 1)[0]
    user = soak.User(Page, jobs, tmp_path / "junk.png", record, seed=0)
    for kind, end in (
        (user.ask, "answered"),
        (user.cancel, "cancelled"),
        (user.send_junk, "turned away"),
        (user.ask_nothing, "turned away"),
        (user.ask_endlessly, "turned away"),
    ):
        assert kind() == end
    before = user.client
    assert user.vanish() == "vanished" and not before.open and user.client.open
    user.client.predict = lambda **request: (_ for _ in ()).throw(ValueError("Something went wrong"))
    for _ in range(30):
        user.act()
    assert record.ends["failed"] and record.surprises


def test_a_soak_frees_memory_and_switches_models_on_the_page(tmp_path, monkeypatch):
    runners = {name: FakeRunner(lambda *asked: "words") for name in ("fake", "four")}
    monkeypatch.setattr(engine_models, "open_runner", lambda model, *args: runners[model])
    engine = Engine("fake", models=["four"])
    engine.load()
    demo = build_app(engine)
    _, address, _ = demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **launch_options())
    jobs = page.make_jobs(tmp_path, 1, 1, True, 1)[0]
    user, other = (soak.User(lambda: Client(address, verbose=False), jobs, tmp_path, soak.Record(), n) for n in (0, 1))
    assert user.free() == "freed" and not engine.status().loaded
    user.chance.choice = lambda choices: choices[-1]
    assert user.switch() == "switched"
    assert user.press() == "answered"
    assert len(runners["four"].asked) == 1 and not runners["fake"].asked
    assert other.press() == "answered"
    assert len(runners["four"].asked) == len(runners["fake"].asked) == 1
    other.client.close()
    user.client.close()
    demo.close()
    engine.close()
