"""The engine on a scripted model: whole answers, loading, unloading, shutting down, bad calls."""

import subprocess
import sys
import threading

import pytest

from tests.scripted import IMAGE, LONG, ask, held, until
from vlm_demo.engine import Engine, EngineError, SamplingParameters, get_engine, scheduler
from vlm_demo.engine import engine as engine_module


def test_a_whole_answer(engine):
    result = engine.answer([IMAGE, IMAGE], "red dog")
    assert (result.text, result.finish_reason, result.task, result.model) == ("red dog", "stop", "vqa", "bytes")
    assert result.prompt == "[VQA] red dog" and result.prompt_tokens == 7 and result.new_tokens == 8
    assert result.confidence == pytest.approx(0.5) and result.tokens[0].alternatives == [("r", 0.5), ("x", 0.1)]
    assert result.outside and result.novelty == [2.0, 2.0]
    assert result.timings.decode > 0


def test_boxes_are_parsed_when_the_answer_is_json(engine):
    json = '{"objects": [{"label": "dog", "bbox": [0.25, 0.25, 0.5, 0.5], "image": 2}]}'
    result = engine.compare([IMAGE, IMAGE], json)
    assert result.parsed.detections.xyxy[0].tolist() == [16, 12, 48, 36]
    assert result.parsed.objects[0]["confidence"] == pytest.approx(0.5**3)
    assert engine.compare([IMAGE, IMAGE], "a dog was added").parsed is None
    assert engine.compare([IMAGE, IMAGE], "boxes").prompt == "[COMPARE] Box what changed."
    assert engine.detect(IMAGE).parsed is not None


def test_a_box_becomes_a_question_in_the_models_own_numbers(engine):
    asked = engine.describe_box(IMAGE, [0.101, 0.2, 1.2, 0.33])
    assert asked.text == "What is in the box [0.100, 0.200, 0.900, 0.330]?" and asked.task == "vqa"


def test_a_model_that_does_not_load_is_told_and_tried_again(engine, model):
    real, model.load = model.load, lambda: (_ for _ in ()).throw(OSError("disk"))
    with pytest.raises(EngineError, match="could not be loaded.*disk"):
        engine.answer(IMAGE, "hello")
    model.load = real
    assert engine.answer(IMAGE, "hello").text == "hello"


def test_a_call_that_ends_while_the_engine_closes_has_not_failed(engine, monkeypatch):
    """The future ends, and the worker with it, after the one who waits has looked and before the next look."""

    go = threading.Event()

    class Late(scheduler.Future):
        looks = 0

        def done(self):
            before = super().done()
            self.looks += 1
            if self.looks == 2:
                go.set()
                engine.close(grace=10)
            return before

    monkeypatch.setattr(scheduler, "Future", Late)
    monkeypatch.setattr(scheduler, "wait", lambda futures, timeout: None)
    assert engine._scheduler.call(go.wait)


def test_unload_waits_for_who_runs_and_the_next_use_loads_again(engine, model):
    model.stops = {3}
    generation = ask(engine, "x" * 200)
    until(lambda: held(model))
    freeing = threading.Thread(target=engine.unload)
    freeing.start()
    until(lambda: engine._scheduler._calls)
    assert model.loaded
    model.go.set()
    freeing.join()
    assert generation.done and generation.result().finish_reason == "stop" and not model.loaded
    assert "not loaded" in str(engine.status())
    assert engine.answer(IMAGE, "again").text == "again" and model.loads == 2
    assert str(engine.status()).startswith("bytes · 3.0 M parameters · cpu float32 · 12 MB in use, 16 MB reserved")


def test_nobody_joins_while_memory_is_being_freed(engine, model):
    model.go.clear()
    running = ask(engine, "running")
    until(lambda: model.joined)
    freeing = threading.Thread(target=engine.unload)
    freeing.start()
    until(lambda: engine._scheduler._calls)
    late = ask(engine, "late")
    model.go.set()
    freeing.join()
    assert running.result().text == "running" and late.result().text == "late" and model.loads == 2


def test_load_loads_and_novelty_is_measured(engine, model):
    engine.load()
    assert model.loaded and engine.status().loaded and engine.novelty(IMAGE).outside


def test_close_is_final_and_does_not_wait_for_a_model_that_hangs(engine, model):
    model.stops = {3}
    running = ask(engine, LONG, "a")
    waiting = ask(engine, "next", "a")
    until(lambda: held(model))
    engine.close(grace=0.2)
    assert not running.done and model.loaded  # it still runs: its memory is freed when it has ended
    model.go.set()
    until(lambda: not model.loaded)
    assert running.result().finish_reason == waiting.result().finish_reason == "cancelled" and running.result().text
    for call in (lambda: ask(engine, "more"), engine.load):
        with pytest.raises(EngineError, match="shut down"):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda engine: engine.answer([], "what?"), "1 to 8 images"),
        (lambda engine: engine.answer([IMAGE] * 9, "what?"), "1 to 8 images"),
        (lambda engine: engine.compare([IMAGE]), "2 to 4 images"),
        (lambda engine: engine.answer(IMAGE, "  "), "type a question"),
        (lambda engine: engine.answer(IMAGE, "x" * 100_000), "characters"),
        (lambda engine: engine.describe_box(IMAGE, [0.5, 0.5, 0.0, 0.1]), "width and a height"),
        (lambda engine: engine.describe_box(IMAGE, "cat"), "four numbers"),
        (lambda engine: engine.caption(IMAGE, "poetic"), "brief, detailed, alt"),
        (lambda engine: engine.answer(IMAGE, "and?", [("a dog?", None)]), "pairs of texts"),
        (lambda engine: engine.caption(None), "choose an image"),
        (lambda engine: engine.caption(b"not a picture"), "."),
        (lambda engine: engine.caption(IMAGE, settings=SamplingParameters(temperature=-1)), "Temperature"),
        (lambda engine: engine.caption(IMAGE, settings=SamplingParameters(temperature=float("nan"))), "Temperature"),
        (lambda engine: engine.caption(IMAGE, settings=SamplingParameters(top_p=0)), "Top-p"),
        (lambda engine: engine.caption(IMAGE, settings=SamplingParameters(max_new_tokens=0)), "length"),
        (lambda engine: engine.caption(IMAGE, settings=SamplingParameters(stop=("",))), "none of them empty"),
    ],
)
def test_bad_calls_are_refused_before_anything_is_queued(engine, model, call, message):
    with pytest.raises(EngineError, match=message):
        call(engine)
    assert model.joined == [] and not model.loaded


def test_the_process_has_one_engine(model, monkeypatch):
    monkeypatch.setattr(engine_module, "_engine", None)
    with_model = get_engine(lambda: Engine(runner=model))
    assert get_engine() is with_model and with_model.runner is model


def test_importing_the_engine_loads_no_model_library():
    code = "import sys, vlm_demo.engine as e; e.Engine(); print({'torch', 'transformers'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
