"""Models of other families that cannot be opened: what is wrong, in words."""

import importlib.util
import json

import families
import pytest
import torch
import transformers
from huggingface_hub import errors

from vlm_demo.engine import Engine, EngineError
from vlm_demo.runners.trouble import explain_source


def fails(folder) -> str:
    engine = Engine(folder, device="cpu")
    with pytest.raises(EngineError) as caught:
        engine.load()
    engine.close()
    return str(caught.value)


def test_what_cannot_be_opened_is_told_in_words(saved, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "has no config.json" in fails(tmp_path / "empty")
    transformers.BertConfig().save_pretrained(tmp_path / "bert")
    assert "type bert does not write text about images" in fails(tmp_path / "bert")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "config.json").write_text('{"model_type": "shiny"}')
    assert "shiny" in fails(tmp_path / "new")
    (tmp_path / "code").mkdir()
    own = {"model_type": "shiny", "auto_map": {"AutoConfig": "configuration_shiny.ShinyConfig"}}
    (tmp_path / "code" / "config.json").write_text(json.dumps(own))
    (tmp_path / "code" / "configuration_shiny.py").write_text("raise SystemExit('this must not run')")
    assert "needs code of its own, which is not run here" in fails(tmp_path / "code")


def test_weights_that_could_run_code_are_not_opened(tmp_path):
    families.save("git", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    assert "no weights as safetensors" in fails(tmp_path)


def test_a_chat_family_without_a_template_is_refused(tmp_path):
    families.save("llava", tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    assert "has no chat template" in fails(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_a_missing_package_comes_with_the_command_that_installs_it(tmp_path):
    processor = families.save("qwen2_5_vl", tmp_path)
    processor.tokenizer.save_pretrained(tmp_path)
    images = processor.image_processor.to_dict() | {"processor_class": "Qwen2_5_VLProcessor"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(images))
    version = torch.__version__.partition("+")[0]
    assert fails(tmp_path).endswith(f"pip install torchvision torch=={version}")


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (errors.GatedRepoError, "is gated: accept its terms at https://huggingface.co/some/model"),
        (errors.RepositoryNotFoundError, "The Hub has no model some/model, or it is private"),
        (errors.LocalEntryNotFoundError, "the Hub cannot be reached"),
        (ConnectionError, "the Hub cannot be reached"),
    ],
)
def test_what_the_hub_refuses_is_told_in_words(cause, message):
    try:
        try:
            raise cause.__new__(cause)
        except Exception as error:
            raise OSError("a long story") from error
    except OSError as error:
        assert message in str(explain_source(error, "some/model"))


def test_without_a_network_a_hub_name_is_one_message(monkeypatch):
    import huggingface_hub

    def cut(*args, **kwargs):
        raise errors.OfflineModeIsEnabled("cut")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", cut)
    monkeypatch.setattr("transformers.utils.hub.hf_hub_download", cut)
    assert "some/model is not on this machine, and the Hub cannot be reached" in fails("some/model")


def test_int8_is_refused(saved):
    engine = Engine(saved("git")[0], device="cpu", dtype="int8")
    with pytest.raises(EngineError, match="int8 is for our own models"):
        engine.load()
    engine.close()
