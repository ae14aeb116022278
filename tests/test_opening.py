"""Another model for a running engine: what it takes is told first, and those that are there answer until it works."""

import json
import shutil
import time
from types import SimpleNamespace

import families
import httpx2
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from standin_hub import StandInHub

from app import preload
from tests.scripted import IMAGE, Bytes, ask, held, until
from vlm_demo.engine import Engine, EngineError, opening
from vlm_demo.runners import needs
from vlm_demo.runners.hub import HubRunner

NAME = "some/model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("git") / "git"
    families.save("git", folder)
    return folder


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """A Hub that has one model, and an empty cache."""
    served = StandInHub({NAME: folder})
    for name, value in (("HF_ENDPOINT", served.url), ("HF_HUB_CACHE", str(tmp_path / "cache"))):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(constants, "ENDPOINT", served.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{served.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield served
    served.close()


@pytest.fixture
def model():
    return Bytes()


@pytest.fixture
def engine(model):
    engine = Engine(runner=model, device="cpu")
    yield engine
    model.go.set()
    engine.close(grace=0.2)


def test_what_a_folder_takes_is_known_beforehand(engine, folder):
    wanted = engine.look_up(str(folder))
    parameters = sum(one.numel() for one in families.BUILDERS["git"]()[0].state_dict().values())
    assert wanted.parameters == pytest.approx(parameters, rel=0.1) and wanted.memory == 4 * wanted.parameters
    assert wanted.download == 0 and wanted.disk > wanted.memory and wanted.missing == ()
    assert "M parameters" in str(wanted) and "on this machine" in str(wanted)


def test_a_model_from_the_hub_comes_in_while_the_one_in_use_goes_on(engine, model, hub, folder):
    model.stops = {3}
    running = ask(engine, "I run already")
    until(lambda: held(model))
    hub.pause = 0.01
    wanted = engine.look_up(NAME)
    assert 0 < wanted.download < wanted.disk, "of the Hub's files only the config is here, and others are not wanted"
    coming = engine.open(wanted)
    with pytest.raises(EngineError, match=f"{NAME} is being loaded. Please try again when it is here"):
        engine.open(wanted)
    fetched = set()
    until(lambda: fetched.add(coming.fetched) or coming.stage == "loading")
    assert len(fetched) > 2 and max(fetched) <= wanted.download
    assert not running.done and engine.models == ["bytes"]
    model.go.set()
    assert coming.result() == NAME and coming.stage == "ready"
    assert running.result().text == "I run already" and engine.models == ["bytes", NAME] and engine.model == "bytes"
    result = engine.caption(IMAGE, model=NAME)
    assert result.model == NAME and result.new_tokens
    assert engine.look_up(NAME).download == 0
    with pytest.raises(EngineError, match=f"{NAME} is here already"):
        engine.open(wanted)


def test_a_download_can_be_cancelled(engine, hub, tmp_path):
    hub.pause = 0.2
    coming = engine.open(engine.look_up(NAME))
    until(lambda: coming.fetched)
    began = time.monotonic()
    coming.cancel()
    with pytest.raises(EngineError, match="was cancelled"):
        coming.result()
    assert time.monotonic() - began < 5 and coming.stage == "cancelled" and engine.models == ["bytes"]
    assert not list((tmp_path / "cache").rglob("*.incomplete")), "parts do not fill the disk"
    assert engine.answer(IMAGE, "still here").text == "still here"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/model", "The Hub has no model no/model, or it is private"),
        ("gated/model", "is gated: accept its terms at https://huggingface.co/gated/model"),
        ("bert/model", "type bert does not write text about images"),
        ("code/model", "needs code of its own, which is not run here"),
        ("pickle/model", "no weights as safetensors"),
        ("no name at all", "neither a folder on this machine nor the name of a model"),
    ],
)
def test_what_cannot_be_opened_is_told_before_anything_is_downloaded(engine, hub, folder, tmp_path, name, message):
    for other, config in (("bert", {"model_type": "bert"}), ("code", {"model_type": "x", "auto_map": {}})):
        shutil.copytree(folder, tmp_path / other)
        (tmp_path / other / "config.json").write_text(json.dumps(config))
        hub.models[f"{other}/model"] = tmp_path / other
    shutil.copytree(folder, tmp_path / "pickle", ignore=shutil.ignore_patterns("*.safetensors"))
    hub.models |= {"pickle/model": tmp_path / "pickle", "gated/model": folder}
    hub.gated.add("gated/model")
    with pytest.raises(EngineError, match=message):
        engine.look_up(name)


def test_without_a_network_only_what_was_brought_before_can_be_opened(engine, hub, monkeypatch):
    engine.open(engine.look_up(NAME)).result()

    def cut(*args, **kwargs):
        raise httpx2.ConnectError("no route")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", cut)
    assert engine.look_up(NAME).download == 0
    with pytest.raises(EngineError, match="no/model is not on this machine, and the Hub cannot be reached"):
        engine.look_up("no/model")


def test_a_model_of_our_own_class_is_named_at_start_by_its_name_on_the_hub(hub, checkpoint):
    hub.models["we/tiny"] = checkpoint
    (checkpoint / "description.json").write_text(json.dumps({"knows": "It knows nothing."}))
    engine = Engine("we/tiny", device="cpu")
    result = engine.caption(IMAGE)
    assert result.model == "we/tiny" and result.new_tokens and engine.description().knows == "It knows nothing."
    engine.close()


def test_with_the_network_cut_a_hub_name_says_so_at_start_and_to_whoever_asks(hub, caplog):
    hub.close()  # from now on nothing listens there
    engine = Engine(NAME, device="cpu")
    words = f"{NAME} is not on this machine, and the Hub cannot be reached. Connect to the network, or name a folder."
    preload(engine)
    assert words in caplog.text and "Traceback" not in caplog.text
    for trouble in (lambda: engine.caption(IMAGE), lambda: engine.look_up(NAME)):
        with pytest.raises(EngineError) as caught:
            trouble()
        assert str(caught.value) == words
    engine.close()


def test_what_is_short_is_told_before_it_is_loaded(engine, folder, monkeypatch):
    wanted = engine.look_up(str(folder))
    monkeypatch.setattr(needs.memory, "available", lambda: 1000)
    with pytest.raises(EngineError, match="takes about .* of memory, and 0 MB are free"):
        engine.open(wanted).result()
    lacking = needs.Needs("x/y", (), 1, 0, 1, 1, missing=("num2words",))
    with pytest.raises(EngineError, match="Install it and start again: pip install num2words"):
        engine.open(lacking).result()
    with pytest.raises(EngineError, match="on the disk, where"):
        engine.open(needs.Needs("x/y", (), 10**18, 10**18, 1, 1)).result()
    assert engine.models == ["bytes"]


def test_a_download_leaves_some_of_the_disk_free(monkeypatch):
    disk = SimpleNamespace(free=needs.SPARE + 1_000_000)
    monkeypatch.setattr(needs.shutil, "disk_usage", lambda folder: disk)
    needs.Needs("x/y", (), 1, 1_000_000, 1, 1).check("cpu")
    with pytest.raises(EngineError, match="takes 1 MB on the disk, where 1 MB are to spare"):
        needs.Needs("x/y", (), 1, 1_000_001, 1, 1).check("cpu")


@pytest.mark.parametrize("trouble", ["load", "numbers"])
def test_a_model_that_does_not_work_is_not_offered_and_leaves_nothing(engine, folder, monkeypatch, trouble):
    if trouble == "load":
        monkeypatch.setattr(HubRunner, "load", lambda self: (_ for _ in ()).throw(MemoryError()))
        message = "does not fit into the memory"
    else:
        begin = HubRunner._begin
        monkeypatch.setattr(HubRunner, "_begin", lambda self, sequence: begin(self, sequence) * torch.nan)
        message = "gave no valid numbers"
    with pytest.raises(EngineError, match=message):
        engine.open(engine.look_up(str(folder))).result()
    assert engine.opening.stage == "failed" and engine.models == ["bytes"]
    assert engine._scheduler.residents._sizes.keys() <= {engine.runner}


def test_a_new_model_makes_room_for_itself_among_idle_ones(folder):
    first = Bytes()
    engine = Engine(runner=first, device="cpu", memory_budget=1)
    engine.load()
    engine.open(engine.look_up(str(folder))).result()
    assert not first.loaded and engine.caption(Image.new("RGB", (9, 9)), model="git").new_tokens
    assert engine.answer(IMAGE, "and back").text == "and back" and first.loaded
    engine.close()


def test_every_model_passes_the_trial_that_it_can(tmp_path):
    families.save("blip_answers", tmp_path)  # which answers questions only
    runner = HubRunner(tmp_path, "cpu")
    runner.load()
    opening.check(runner)
