"""More words for a finished model: old words are cut as before, new ones become pieces and words."""

import torch

from tests.tiny import tiny_config, tiny_model
from train.icons.average import average
from train.icons.vocabulary import extended, grow, new_merges
from vlm_demo.model import MiniVLMProcessor

BUNDLED = "checkpoints/minivlm-icons"


def test_new_words_become_tokens_and_old_ones_stay_as_they_were():
    processor = MiniVLMProcessor.from_pretrained(BUNDLED)
    known, word = "Where is the red cat?", "quixotically"
    merges = new_merges(processor.tokenizer.backend_tokenizer, [f" how {word}"] * 50, 40)
    longer = extended(processor, merges)
    assert longer.encode_text(f" {known}") == processor.encode_text(f" {known}")
    assert len(longer.encode_text(f" {word}")) == 1 < len(processor.encode_text(f" {word}"))
    assert longer.tokenizer.decode(longer.encode_text(f" {word}")) == f" {word}"
    turns = [{"role": "user", "task": "vqa", "text": known}]
    assert longer.encode_chat(turns, 1) == processor.encode_chat(turns, 1)

    config = tiny_config(processor)
    config.text_config.vocab_size = len(processor.tokenizer)
    model = tiny_model(config)
    before = model.get_input_embeddings().weight.detach().clone()
    grow(model, longer, merges)
    after = model.get_input_embeddings().weight
    assert len(after) == len(longer.tokenizer) and torch.equal(after[: len(before)], before)


def test_the_mean_of_two_runs_lies_between_them():
    processor = MiniVLMProcessor.from_pretrained(BUNDLED)
    one, other = tiny_model(tiny_config(processor)), tiny_model(tiny_config(processor))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    before = one.lm_head.weight.detach().clone()
    assert torch.allclose(average([one, other]).lm_head.weight, (before + other.lm_head.weight) / 2)
