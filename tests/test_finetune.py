"""Fine-tuning: exact resuming, safe checkpoints, several processes, messages."""

import argparse
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.tiny import tiny_config, tiny_model, tiny_processor, tiny_vit_config
from tests.walls import Walls
from train.data import SourceError
from train.finetune import checkpoints, command, stages
from train.finetune.backbones import set_trainable
from train.finetune.trainer import CannotSave, VLMTrainer, train
from vlm_demo.engine import Engine

ROOT = Path(__file__).parents[1]


def trained(folder: Path, parts=("projector", "language"), **settings) -> tuple[list[dict], dict[str, torch.Tensor]]:
    """Log and weights of a tiny model after 12 steps; goes on where a run in `folder` was stopped."""
    torch.set_num_threads(1)
    processor = tiny_processor()
    # A ViT, because saving renames its weights: resuming by raw names would lose them.
    model = tiny_model(tiny_config(processor, tiny_vit_config()))
    set_trainable(model, set(parts))
    settings = {"batch": 4, "micro_batch": 2, "save_every": 2, "bf16": False, "quiet": True, **settings}
    done = train(model, processor, [Walls(24), Walls(24, "caption")], folder, **settings)
    log = [{key: value for key, value in entry.items() if key != "epoch"} for entry in done["log"]]
    return log, model.state_dict()


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.fixture(scope="module")
def whole(whole_folder):
    """Log and weights of a run that nothing disturbed."""
    return trained(whole_folder, parts=("vision", "projector", "language"))


def same(one, two) -> bool:
    return one[0] == two[0] and all(torch.equal(value, two[1][name]) for name, value in one[1].items())


def run_command(folder: Path, *before: str) -> list[str]:
    return [sys.executable, *before, "-m", "tests.test_finetune", str(folder)]


def test_a_run_killed_at_any_moment_goes_on_as_if_it_never_stopped(tmp_path, whole):
    child = subprocess.Popen(run_command(tmp_path / "run"), cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while not list((tmp_path / "run").glob("checkpoint-*")) and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert same(trained(tmp_path / "run", parts=("vision", "projector", "language")), whole)


def test_interrupted_between_saves_it_repeats_the_same_steps(tmp_path, whole, monkeypatch):
    step = VLMTrainer.training_step

    def interrupted(self, *args, **kwargs):
        if self.state.global_step == 7:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(VLMTrainer, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "run", parts=("vision", "projector", "language"))
    monkeypatch.undo()
    assert same(trained(tmp_path / "run", parts=("vision", "projector", "language")), whole)


@pytest.mark.parametrize("harm", ["cut", "flip", "missing"])
def test_a_damaged_checkpoint_is_passed_over_with_a_message(tmp_path, whole, whole_folder, harm, capsys):
    parts = ("vision", "projector", "language")
    shutil.copytree(whole_folder, tmp_path / "run")
    newest = checkpoints.latest_valid(tmp_path / "run")
    file = newest / "model.safetensors"
    data = file.read_bytes()
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes(data[:-9] if harm == "cut" else data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    assert same(trained(tmp_path / "run", parts, quiet=False), whole)
    printed = capsys.readouterr().out
    assert f"{newest} is passed over" in printed and "model.safetensors" in printed
    assert "resuming from checkpoint-10" in printed


def test_a_full_disk_says_what_to_do_and_the_latest_valid_checkpoint_stays(tmp_path, whole, monkeypatch):
    save = VLMTrainer._save_optimizer_and_scheduler

    def full(self, folder):
        if self.state.global_step == 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, folder)

    parts = ("vision", "projector", "language")
    monkeypatch.setattr(VLMTrainer, "_save_optimizer_and_scheduler", full)
    with pytest.raises(CannotSave, match="step 6 .*No space left.*Make room"):
        trained(tmp_path / "run", parts)
    assert checkpoints.latest_valid(tmp_path / "run").name == "checkpoint-4"
    assert not (tmp_path / "run" / "partial").exists()
    monkeypatch.undo()
    assert same(trained(tmp_path / "run", parts), whole)


def test_two_processes_see_each_sample_once_and_agree_with_one(tmp_path, whole):
    run = run_command(tmp_path / "run", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    subprocess.run(run, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True)
    log = json.loads((tmp_path / "run" / "log.json").read_text())
    assert [entry["vqa_tokens"] for entry in log] == [entry["vqa_tokens"] for entry in whole[0]]
    for key in ("loss", "vqa", "caption", "grad_norm"):
        assert [entry[key] for entry in log] == pytest.approx([entry[key] for entry in whole[0]], rel=1e-3)


def test_the_micro_batch_makes_no_difference_to_the_result(tmp_path, whole):
    log, _ = trained(tmp_path / "run", parts=("vision", "projector", "language"), micro_batch=4)
    assert [entry["loss"] for entry in log] == pytest.approx([entry["loss"] for entry in whole[0]], rel=1e-3)


def test_losses_are_told_by_task_and_weighed_by_tokens(whole):
    for entry in whole[0]:
        tokens = [entry[f"{task}_tokens"] for task in ("vqa", "caption")]
        mean = (entry["vqa"] * tokens[0] + entry["caption"] * tokens[1]) / sum(tokens)
        assert entry["loss"] == pytest.approx(mean, rel=1e-4)


def test_cached_features_give_the_losses_of_encoding_each_time(tmp_path):
    plain, weights = trained(tmp_path / "plain")
    cached, _ = trained(tmp_path / "cached", cache=tmp_path / "features")
    again, _ = trained(tmp_path / "again", cache=tmp_path / "features")
    for key in ("loss", "vqa", "caption"):  # features are kept in bfloat16
        assert [entry[key] for entry in cached] == pytest.approx([entry[key] for entry in plain], rel=5e-3)
    assert cached == again
    start = tiny_model(tiny_config(tiny_processor(), tiny_vit_config())).state_dict()
    moved = {name.split(".")[1] for name, value in start.items() if not torch.equal(value, weights[name])}
    assert "projector" in moved and "language_model" in moved and "vision_tower" not in moved


@pytest.mark.parametrize(
    "settings, advice",
    [({"batch": 1000}, "smaller --batch"), ({"batch": 3}, "a multiple of 2"), ({"fsdp": True}, "leave it out")],
)
def test_settings_that_cannot_work_say_what_would(tmp_path, settings, advice):
    with pytest.raises(ValueError, match=advice):
        trained(tmp_path / "run", **settings)


def parse(*words: str) -> argparse.Namespace:
    return command.arguments().parse_args(words)


def test_the_command_leaves_a_model_that_the_app_opens(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(stages, "SHOWN", 1)
    words = ["vqa", "--data", "icons", "--tiny", "--samples", "8", "--batch", "4", "--epochs", "1"]
    words += ["--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")]
    stages.run(parse(*words))
    engine = Engine(tmp_path / "run")
    assert isinstance(engine.answer(Image.new("RGB", (64, 64)), "How many?").text, str)
    engine.close()
    log = json.loads((tmp_path / "run" / "log.json").read_text())
    assert [entry["step"] for entry in log] == [1, 2, 3, 4] and all(entry["vqa"] > 0 for entry in log)
    assert (tmp_path / "run" / "losses.png").stat().st_size > 1000
    assert checkpoints.verify(tmp_path / "run" / "untrained") is None
    bundled = (ROOT / "checkpoints" / name for name in ("minivlm-icons", "minivlm-photographs"))
    for folder in (tmp_path / "run", tmp_path / "run" / "untrained", *bundled):
        assert not any("auto_map" in config.read_text() for config in folder.glob("*.json")), "code that is not there"
    stages.run(parse(*words))
    assert "is finished" in capsys.readouterr().out
    with pytest.raises(ValueError, match="--lr None"):
        stages.run(parse(*words, "--lr", "1"))


def test_the_other_processes_do_not_wait_for_a_first_one_that_failed(tmp_path, monkeypatch):
    args = parse("vqa", "--data", "icons", "--tiny", "--samples", "8", "--out", str(tmp_path / "run"))

    def build(*_):
        raise ValueError("There are no such backbones.")

    monkeypatch.setattr(stages, "build", build)
    with pytest.raises(ValueError, match="no such backbones"):
        stages.run(args)
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ValueError, match="first process could not"):
        stages.run(args)


def test_the_other_processes_load_no_model_that_is_being_replaced(tmp_path, monkeypatch):
    folder = tmp_path / "run" / "untrained"
    for part in (tiny_model(tiny_config(tiny_processor())), tiny_processor()):
        part.save_pretrained(folder)
    checkpoints.write_manifest(folder)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-1])
    waited = []

    def replaced(seconds):
        waited.append(seconds)
        (folder / "model.safetensors").write_bytes(weights)

    def load(start):
        raise KeyboardInterrupt if checkpoints.verify(folder) is None else AssertionError("it is damaged")

    monkeypatch.setattr(stages.time, "sleep", replaced)
    monkeypatch.setattr(stages, "from_checkpoint", load)
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(KeyboardInterrupt):
        stages.run(parse("vqa", "--data", "icons", "--tiny", "--samples", "8", "--out", str(tmp_path / "run")))
    assert waited


@pytest.mark.parametrize(
    "error, advice",
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "--micro-batch 4"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "--micro-batch 4"),
        (OSError(errno.ENOSPC, "No space left on device"), "Make room"),
        (SourceError("There is no file x."), "There is no file x."),
        (KeyboardInterrupt(), "130"),
    ],
)
def test_what_goes_wrong_ends_with_advice(tmp_path, monkeypatch, error, advice):
    def fail(args):
        raise error

    monkeypatch.setattr(command, "run", fail)
    monkeypatch.setattr(sys, "argv", ["finetune", "vqa", "--data", "icons", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=advice):
        command.main()


if __name__ == "__main__":  # a run in a process of its own, to be killed, or one of several
    target = Path(sys.argv[1])
    written, _ = trained(target, parts=("vision", "projector", "language"), micro_batch=2)
    if int(os.environ.get("RANK", 0)) == 0:
        (target / "log.json").write_text(json.dumps(written))
