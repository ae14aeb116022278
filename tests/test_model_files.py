"""MiniVLM on tiny random weights: saving, and building one from backbones."""

import os
import subprocess
import sys

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from tests.tiny import (
    IMAGE_SEQ_LENGTH,
    IMAGE_SIZE,
    images,
    prompt,
    tiny_config,
    tiny_model,
    tiny_text_config,
    tiny_vit_config,
)
from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMModel, MiniVLMProcessor


class TestSaving:
    @pytest.mark.parametrize("tied", [True, False])
    def test_equal_logits_through_the_auto_class(self, processor, tmp_path, tied):
        config = tiny_config(processor, tie_word_embeddings=tied)
        config.text_config.tie_word_embeddings = config.tie_word_embeddings = tied
        model = tiny_model(config)
        model.save_pretrained(tmp_path)
        loaded = AutoModelForImageTextToText.from_pretrained(tmp_path)
        assert type(loaded) is MiniVLMForConditionalGeneration
        assert (loaded.lm_head.weight is loaded.get_input_embeddings().weight) is tied
        assert not list(tmp_path.glob("*.bin"))
        ids = prompt(processor, "how many?")
        assert torch.equal(loaded(ids, pixel_values=images(1)).logits, model(ids, pixel_values=images(1)).logits)
        assert loaded.generation_config.suppress_tokens == [processor.image_token_id]
        assert type(AutoModel.from_pretrained(tmp_path)) is MiniVLMModel

    def test_a_saved_folder_loads_where_this_package_is_missing(self, model, processor, tmp_path):
        """What `push_to_hub` uploads: the code travels with the weights."""
        folder = tmp_path / "checkpoint"
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        script = (
            "import sys; from transformers import AutoModelForImageTextToText, AutoProcessor;"
            "processor = AutoProcessor.from_pretrained(sys.argv[1], trust_remote_code=True);"
            "model = AutoModelForImageTextToText.from_pretrained(sys.argv[1], trust_remote_code=True);"
            "assert not any(name.startswith('vlm_demo') for name in sys.modules);"
            "print(type(processor).__name__, type(model).__name__)"
        )
        environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-c", script, str(folder)]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
        assert run.returncode == 0, run.stderr
        assert run.stdout.split() == ["MiniVLMProcessor", "MiniVLMForConditionalGeneration"]


class TestFromBackbones:
    @pytest.mark.parametrize("tied", [True, False])
    def test_joins_a_vit_and_a_llama(self, processor, tmp_path, tied):
        torch.manual_seed(0)
        vision = AutoModel.from_config(tiny_vit_config()).eval()
        vision.save_pretrained(tmp_path / "vision")
        ViTImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}).save_pretrained(tmp_path / "vision")
        text_config = tiny_text_config(processor.tokenizer)
        text_config.vocab_size -= 20  # as of a model that does not know our special tokens
        text_config.tie_word_embeddings = tied
        text = AutoModelForCausalLM.from_config(text_config).to(torch.bfloat16)
        text.save_pretrained(tmp_path / "text")
        text = AutoModelForCausalLM.from_pretrained(tmp_path / "text", dtype=torch.float32)
        processor.tokenizer.save_pretrained(tmp_path / "text")

        joint_processor = MiniVLMProcessor.from_backbones(
            tmp_path / "vision", tmp_path / "text", image_seq_length=IMAGE_SEQ_LENGTH
        )
        model = MiniVLMForConditionalGeneration.from_backbones(
            tmp_path / "vision", tmp_path / "text", joint_processor, projector_hidden_size=40
        ).eval()
        assert torch.equal(model.get_vision_features(images(1)), vision(images(1)).last_hidden_state[:, 1:])
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        old = text_config.vocab_size
        plain = torch.tensor([joint_processor.encode_text("how many cats")]).clamp(max=old - 1)
        # Bit for bit, layer by layer: a head of another size may round its sums in another order.
        assert torch.equal(model.model(plain).last_hidden_state, text.base_model(plain).last_hidden_state)
        assert torch.equal(model.lm_head.weight[:old], text.get_output_embeddings().weight)
        assert model.lm_head.weight.shape == (len(joint_processor.tokenizer), 32)
        assert (model.lm_head.weight is model.get_input_embeddings().weight) is tied
        assert model.model.projector.linear_1.out_features == 40

        ids = prompt(joint_processor, "how many?")
        model.save_pretrained(tmp_path / "joint")
        loaded = AutoModelForImageTextToText.from_pretrained(tmp_path / "joint")
        assert torch.equal(loaded(ids, pixel_values=images(1)).logits, model(ids, pixel_values=images(1)).logits)
        assert loaded.generation_config.eos_token_id == joint_processor.tokenizer.eos_token_id
