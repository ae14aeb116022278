"""Evaluation, pictures of training, and the way to the Hub: with scripted and tiny models."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from tests.fake_engine import fake_engine
from tests.tiny import tiny_config, tiny_model, tiny_processor, tiny_vit_config
from train import plots
from train.data import InvalidRow, LazyExample, LazyImage, Source, SourceError
from train.data.base import chat
from train.evaluation import command as evaluate
from train.evaluation.page import cards, write_page
from train.evaluation.predictions import answer_source
from train.finetune import push, visualization
from vlm_demo.engine import Engine
from vlm_demo.results import EngineError

DOG = '{"objects": [{"label": "dog", "bbox": [0.100, 0.100, 0.500, 0.500]}]}'
EXAMPLES = [
    ("caption", 1, [("brief", "a dog")], {"captions": ["A dog runs.", "A brown dog."]}),
    ("detect", 1, [("", DOG)], {"labels": ["dog"], "boxes": [[0.1, 0.1, 0.5, 0.5]]}),
    ("vqa", 1, [("What is it?", "a dog"), ("How many?", "1")], {"answers": ["1"] * 10}),
    ("compare", 2, [("Which image shows <b>a dog</b>?", "Image 1.")], {"answer": "Image 1."}),
    ("compare", 5, [("What changed?", "Nothing.")], {"answer": "Nothing."}),  # more pictures than the app takes
    (None, 0, [], {}),  # a row that cannot be read
]


class Mixed(Source):
    """One row of each sort."""

    def __init__(self):
        super().__init__("mixed/test")

    def __len__(self):
        return len(EXAMPLES)

    def lazy_example(self, index, epoch=0):
        task, count, turns, reference = EXAMPLES[index]
        if task is None:
            raise InvalidRow("mixed/test row 5", "the picture is damaged")
        shown = [
            LazyImage(f"{index} {k}", lambda k=k: Image.new("RGB", (60, 40), (40 * k, 90, 120))) for k in range(count)
        ]
        chats = [turn for question, answer in turns for turn in chat(task, question, answer)]
        return LazyExample(task, tuple(shown), chats, reference, f"mixed/test row {index}")


def reply(turns, images):
    """Right about everything."""
    return {"caption": "A dog runs.", "detect": DOG, "vqa": "1", "compare": "Image 1."}[turns[-1]["task"]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save(tmp_path_factory.mktemp("tiny"), seed=0)


def save(folder, seed):
    processor = tiny_processor()
    tiny_model(tiny_config(processor, tiny_vit_config()), seed).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_the_app_is_asked_and_scored_task_by_task():
    engine, source = fake_engine(reply), Mixed()
    answers = list(answer_source(engine, source, None, shown=2))
    engine.close()
    scores = {task: evaluate.score([one for one in answers if one.task == task]) for task, *_ in EXAMPLES[:4]}
    assert scores["caption"]["rouge_l"] == 1
    assert scores["detect"]["f1"] == 1 and scores["detect"]["json_valid"] == 1
    assert scores["vqa"] == {"n": 1, "vqa_accuracy": 1}
    assert scores["compare"]["n"] == 2 and scores["compare"]["exact"] == 0.5  # the refused one counts as wrong
    assert "images" in answers[4].failure and answers[4].result.text == ""
    assert list(source.invalid_rows) == ["mixed/test row 5"]
    assert [len(one.images) for one in answers] == [1, 1, 0, 0, 0]
    asked = next(turns for turns in engine.runner.asked if turns[-1]["task"] == "vqa")
    assert [turn["text"] for turn in asked] == ["What is it?", "a dog", "How many?"]  # the true answer before


def test_a_checkpoint_that_cannot_be_loaded_is_one_message(tmp_path):
    with pytest.raises(EngineError, match="no config.json"):
        evaluate.evaluate([str(tmp_path)], [Mixed()], tmp_path / "out")


def test_two_checkpoints_side_by_side(checkpoint, tmp_path, monkeypatch, capsys):
    other, out = save(tmp_path / "other", seed=1), tmp_path / "out"
    monkeypatch.setattr(evaluate, "open_data", lambda *_: Mixed())
    command = f"evaluate {checkpoint} --data mixed --against {other} --out {out} --keep"
    monkeypatch.setattr(sys, "argv", command.split())
    evaluate.main()
    printed = capsys.readouterr().out
    assert "mixed/test row 5: the picture is damaged" in printed and "mixed/test row 4: " in printed
    row = next(line for line in printed.splitlines() if "vqa_accuracy" in line)
    assert row.count("|") == 7  # data, task, n, figure, and a column for each checkpoint
    written = json.loads((out / "figures.json").read_text())
    assert set(written) == {"where", str(checkpoint), str(other)}
    kept = json.loads((checkpoint / "figures.json").read_text())["evaluation"]
    assert kept == written[str(checkpoint)] and kept["mixed/test"]["caption"]["n"] == 1


def test_data_and_splits_that_are_not_there_are_told():
    with pytest.raises(SourceError, match="no task 'captoin'"):
        evaluate.open_data("captoin=icons", "test", 4)
    with pytest.raises(SourceError, match="check the path"):
        evaluate.open_data("/nowhere/at/all", "test", 4)


def test_a_router_is_measured_too(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate", "checkpoints/router", "--out", str(tmp_path)])
    evaluate.main()
    figures = json.loads((tmp_path / "figures.json").read_text())["checkpoints/router"]
    assert figures["right"] > 0.9 and figures["ece_tasks"] < 0.05
    assert "ece_tasks" in capsys.readouterr().out


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_shows_images_truth_and_answers_and_escapes_them(tmp_path):
    engine = fake_engine(reply)
    answers = list(answer_source(engine, Mixed(), None, shown=9))
    engine.close()
    write_page(tmp_path / "page.html", "A & B", {"mixed": cards({"ours": answers})})
    page = Page((tmp_path / "page.html").read_text())
    images = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 1 + 2 + 1 + 2 + 5  # the detection is drawn twice: true, and ours
    assert all(source.startswith("data:image/jpeg;base64,") for source in images)
    assert "[COMPARE] Which image shows <b>a dog</b>?" in page.words and "b" not in [tag for tag, _ in page.tags]
    assert "A dog runs. / A brown dog." in page.words and "A & B" in page.words


def test_before_and_after_on_the_same_examples(checkpoint, tmp_path):
    after = save(tmp_path / "after", seed=1)
    visualization.write_visualizations(tmp_path / "shown", checkpoint, after, [Mixed()], count=2)
    assert (tmp_path / "shown" / "features.png").exists()
    page = Page(next((tmp_path / "shown").glob("*.html")).read_text())
    assert [word for word in page.words if word in ("before", "after")].count(
        "before"
    ) == 3  # twice in words, once drawn
    with Image.open(next((tmp_path / "shown").glob("before_after_*.png"))) as sheet:
        assert sheet.height > sheet.width / 4


def test_losses_are_drawn_and_other_figures_are_not(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn, plot = [], Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda self, *xy, **kw: drawn.append((kw["label"], *xy)) or plot(self, *xy, **kw))
    log = [
        {"step": 10, "loss": 3.0, "vqa": 4.0, "vqa_tokens": 900, "learning_rate": 0.1},
        {"step": 20, "loss": 2.0, "caption": 1.0, "grad_norm": 0.3, "epoch": 1},
    ]
    plots.write_losses(tmp_path / "losses.png", log)
    assert drawn == [("loss", (10, 20), (3.0, 2.0)), ("vqa", (10,), (4.0,)), ("caption", (20,), (1.0,))]
    assert (tmp_path / "losses.png").exists()


@pytest.mark.parametrize(("projector", "maps"), [("mlp", 2), ("resampler", 1)])
def test_feature_magnitudes_are_the_lengths_of_the_features(tmp_path, monkeypatch, projector, maps):
    from matplotlib.axes import Axes

    drawn = []
    show = Axes.imshow
    monkeypatch.setattr(Axes, "imshow", lambda self, data, **kw: drawn.append(data) or show(self, data, **kw))
    processor = tiny_processor()
    model = tiny_model(tiny_config(processor, tiny_vit_config(), projector=projector, vision_seq_length=4))
    images = [Image.new("RGB", (50, 40), colour) for colour in ("red", "navy")]
    visualization.write_feature_magnitude(tmp_path / "features.png", model, processor, images)
    assert len(drawn) == 2 * (1 + maps)
    features = model.get_vision_features(processor.image_processor(images, return_tensors="pt")["pixel_values"])
    assert drawn[1][0, 1] == pytest.approx(features[0, 1].norm().item(), rel=1e-5)  # row by row from the top left


RUN = {
    "settings": {"task": "vqa", "data": ["animals | zoo"], "lr": 0.001, "start": None},
    "stages": {"together": {"steps": 40, "samples": {"zoo/train": 320}, "seconds": 12.3, "bad_rows": {"row 3": "bad"}}},
    "log": [{"step": 30, "loss": 1.75, "vqa": 1.5}, {"step": 40, "loss": 1.25}],
}


def test_the_card_holds_the_real_figures_the_data_and_the_recipe(checkpoint, tmp_path):
    trained = tmp_path / "made"
    save(trained, seed=0)
    evaluate.keep(trained, {"several of zoo/test": {"vqa": {"n": 50, "vqa_accuracy": 0.4125}}})
    (trained / "run.json").write_text(json.dumps(RUN))
    Image.new("RGB", (8, 8)).save(trained / "losses.png")
    push.prepare(trained, tmp_path / "ready", "me/zoo")
    card = ModelCard.load(tmp_path / "ready" / "README.md")
    assert card.data.model_name == "zoo" and card.data.library_name == "transformers"
    assert [(r.dataset_name, r.metric_type, r.metric_value) for r in card.data.eval_results] == [
        ("several of zoo/test", "vqa_accuracy", 0.4125)
    ]
    assert re.fullmatch(r"(?:[\w-]+/)?[\w.-]+", card.data.eval_results[0].dataset_type)  # or the Hub refuses the card
    for words in (
        "0.412",
        "| several of zoo/test",
        "animals \\| zoo",
        "40 steps on 320 of zoo/train",
        "(losses.png)",
        "1.250",
        "1.500",
    ):
        assert words in card.text
    assert "start" not in card.text.partition("## Training")[2].partition("## Limits")[0]


def test_a_checkpoint_without_figures_says_so(checkpoint, tmp_path):
    push.prepare(save(tmp_path / "bare", 0), tmp_path / "ready", "me/zoo")
    text = (tmp_path / "ready" / "README.md").read_text()
    assert "Nothing was measured" in text and "not recorded how" in text


def test_offline_the_folder_is_ready_and_the_app_loads_it(checkpoint, tmp_path, monkeypatch, capsys):
    def offline(*args, **kwargs):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(push.HfApi, "create_repo", offline)
    ready = tmp_path / "ready"
    monkeypatch.setattr(sys, "argv", ["push", str(checkpoint), "me/zoo", "--out", str(ready)])
    with pytest.raises(SystemExit, match=r"(?s)Not pushed: Name or service.*stays ready.*hf upload me/zoo"):
        push.main()
    assert str(ready) in capsys.readouterr().out
    engine, original = Engine(ready), Engine(checkpoint)
    image = Image.new("RGB", (40, 40), "green")
    assert engine.caption(image).text == original.caption(image).text
    engine.close(), original.close()

    # Somebody who has nothing of this project but the folder.
    code = (
        "from transformers import AutoModelForImageTextToText as M, AutoProcessor as P\n"
        f"m = M.from_pretrained({str(ready)!r}, trust_remote_code=True)\n"
        f"p = P.from_pretrained({str(ready)!r}, trust_remote_code=True)\n"
        "print(type(m).__module__, p.image_seq_length)"
    )
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("transformers_modules") and done.stdout.split()[-1] == "4"


@pytest.mark.parametrize("name", ["zoo", "me/zoo/more", "me/..", "my zoo/a"])
def test_names_that_the_hub_would_refuse_are_refused_first(checkpoint, name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["push", str(checkpoint), name])
    with pytest.raises(SystemExit):
        push.main()
    assert "error:" in capsys.readouterr().err
