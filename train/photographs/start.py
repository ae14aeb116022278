"""The untrained photograph model: a part of a pretrained language model behind the vision tower, with new tokens."""

import json
from pathlib import Path

import torch
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from train.photographs.words import LABELS
from vlm_demo.model import (
    MiniVLMConfig,
    MiniVLMForConditionalGeneration,
    MiniVLMProcessor,
    PhotoVisionModel,
    special_tokens,
)
from vlm_demo.runners.vision import STEP

# Twelve of SmolLM2's thirty layers: the first three and the last, between them every second or third.
LAYERS = (0, 1, 2, 4, 7, 10, 13, 16, 19, 22, 26, 29)
VOCABULARY = 12_288  # tokens that are kept: a BPE vocabulary cut behind any merge is still one
PROJECTOR_WIDTH = 1152
# What boxes are written with, a token each.
JSON_TOKENS = (' {"objects": [{"label": "', ' {"objects": []}', '", "bbox": [', ']}, {"label": "', "]}]}")
CLASSES = {f'{label}", "bbox": [': label for label in LABELS}
COORDINATES = tuple(f"{number * STEP:.3f}" for number in range(round(1 / STEP) + 1))


def cut_tokenizer(tokenizer: PreTrainedTokenizerFast, size: int) -> PreTrainedTokenizerFast:
    """The tokenizer with its first `size` tokens alone, and those of MiniVLM's layout and of boxes behind them."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    vocab = {token: number for token, number in state["model"]["vocab"].items() if number < size}
    merges = [pair for pair in state["model"]["merges"] if "".join(pair) in vocab and set(pair) <= vocab.keys()]
    state["model"]["vocab"], state["model"]["merges"] = vocab, merges
    cut = type(tokenizer.backend_tokenizer).from_str(json.dumps(state))
    names = {f"{name}_token": getattr(tokenizer, f"{name}_token") for name in ("bos", "eos", "pad")}
    result = PreTrainedTokenizerFast(tokenizer_object=cut, clean_up_tokenization_spaces=False, **names)
    result.add_special_tokens({"additional_special_tokens": special_tokens()})
    spelled = [*JSON_TOKENS, *CLASSES, *(f"{text}, " for text in COORDINATES), *COORDINATES]
    result.add_tokens([AddedToken(text, normalized=False) for text in spelled])
    return result


@torch.no_grad()
def new_embeddings(old: torch.Tensor, before: PreTrainedTokenizerFast, after: PreTrainedTokenizerFast) -> torch.Tensor:
    """Embeddings `[vocabulary, D]`: kept tokens keep theirs, new ones begin as the mean of what they are spelled with;
    coordinates differ by waves of their value, so that neighbours begin alike."""
    generator = torch.Generator().manual_seed(0)
    waves = torch.randn(16, old.shape[1], generator=generator) * old.std() / 4
    frequencies = torch.arange(1, 9) * torch.pi
    weight = old[: len(after)].clone()
    n_kept = after.backend_tokenizer.get_vocab_size(with_added_tokens=False)
    rows = []
    for number in range(n_kept, len(after)):
        text = after.convert_ids_to_tokens(number)
        spelled = f" {CLASSES[text]}" if text in CLASSES else text
        spelling = before.backend_tokenizer.encode(spelled, add_special_tokens=False).ids
        row = old[spelling].mean(0)
        if text.removesuffix(", ") in COORDINATES:
            value = float(text.removesuffix(", ")) * frequencies
            row = row + torch.cat([value.sin(), value.cos()]) @ waves
        rows.append(row)
    return torch.cat([weight[:n_kept], torch.stack(rows)])


def start(
    vision: Path,
    language: str | Path,
    layers: tuple[int, ...] = LAYERS,
    vocabulary: int = VOCABULARY,
    pretrained: bool = True,
) -> tuple[MiniVLMForConditionalGeneration, MiniVLMProcessor]:
    """The model before training, in float32, and its processor.

    Args:
        vision: Folder of a `PhotoVisionModel`.
        language: Folder or Hub name of a Llama-shaped language model with a byte-level BPE tokenizer.
        layers: Its layers that are kept, in order.
        vocabulary: Its tokens that are kept.
        pretrained: Whether the language model keeps its weights; if not, it has the same shape and random ones.
    """
    tower = PhotoVisionModel.from_pretrained(vision)
    source = AutoModelForCausalLM.from_pretrained(language, dtype=torch.float32)
    before = AutoTokenizer.from_pretrained(language)
    tokenizer = cut_tokenizer(before, vocabulary)
    image_processor = ViTImageProcessorPil(size={"height": tower.config.image_size, "width": tower.config.image_size})
    processor = MiniVLMProcessor(image_processor, tokenizer, image_seq_length=tower.config.seq_length)
    text_config = source.config
    text_config.num_hidden_layers, text_config.vocab_size = len(layers), len(tokenizer)
    text_config.max_position_embeddings = 2048
    text_config.bos_token_id, text_config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    text_config.pad_token_id = tokenizer.pad_token_id
    config = MiniVLMConfig(
        vision_config=tower.config,
        text_config=text_config,
        image_token_id=processor.image_token_id,
        image_seq_length=tower.config.seq_length,
        image_positions=True,
        projector_hidden_size=PROJECTOR_WIDTH,
    )
    model = MiniVLMForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(tower.state_dict())
    if pretrained:
        state = {name: weight for name, weight in source.model.state_dict().items() if not name.startswith("layers.")}
        state["embed_tokens.weight"] = new_embeddings(state["embed_tokens.weight"], before, tokenizer)
        for number, layer in enumerate(layers):
            for name, weight in source.model.layers[layer].state_dict().items():
                state[f"layers.{number}.{name}"] = weight
        model.model.language_model.load_state_dict(state)
        model.tie_weights()
    ends = model.generation_config
    ends.eos_token_id, ends.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    return model, processor
