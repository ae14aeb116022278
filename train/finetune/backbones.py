"""What a run starts from: tiny or small backbones from scratch, pretrained ones by name, or a checkpoint."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from transformers import AutoConfig, AutoModel, LlamaConfig, PreTrainedTokenizerFast, ViTConfig
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from train.data import InvalidRow, Source
from train.finetune.tokenizer import build_tokenizer
from vlm_demo.model import MiniVLMConfig, MiniVLMForConditionalGeneration, MiniVLMProcessor

Pair = tuple[MiniVLMForConditionalGeneration, MiniVLMProcessor]
PATCH = 16  # pixels
TEXTS = 4000  # rows from which a new tokenizer learns


@dataclass(frozen=True)
class Scratch:
    """Sizes of a ViT and a Llama-shaped language model that start from random weights."""

    side: int  # pixels
    vision: tuple[int, int, int]  # width, layers, heads
    text: tuple[int, int, int]
    vocab: int


SCRATCH = {
    "tiny": Scratch(64, (32, 2, 2), (64, 2, 4), 1024),
    "small": Scratch(128, (192, 6, 3), (256, 6, 4), 4096),
}
PRETRAINED = {
    "base": ("google/vit-base-patch16-224", "HuggingFaceTB/SmolLM-135M"),
    "large": ("google/vit-large-patch16-224", "HuggingFaceTB/SmolLM-360M"),
}


def llama_config(tokenizer: PreTrainedTokenizerFast, width: int, layers: int, heads: int) -> LlamaConfig:
    """A Llama-shaped language model for a tokenizer, its feed-forward layers three times as wide."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def from_scratch(size: str, sources: list[Source], **config: object) -> Pair:
    """New backbones of a size in `SCRATCH`, and a tokenizer learned from the sources; `config` as of MiniVLMConfig."""
    sizes = SCRATCH[size]
    tokenizer = build_tokenizer(_texts(sources), sizes.vocab)
    patches = (sizes.side // PATCH) ** 2
    # Projectors with a fixed number of queries, and pixel shuffle, make fewer image tokens of the same patches.
    tokens = int(config.pop("image_seq_length", 0) or patches // int(config.get("pixel_shuffle", 1)) ** 2)
    image_processor = ViTImageProcessorPil(size={"height": sizes.side, "width": sizes.side})
    processor = MiniVLMProcessor(image_processor, tokenizer, image_seq_length=tokens)
    width, layers, heads = sizes.vision
    vision_config = ViTConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        image_size=sizes.side,
        patch_size=PATCH,
    )
    full = MiniVLMConfig(
        vision_config=vision_config,
        text_config=llama_config(tokenizer, *sizes.text),
        image_token_id=processor.image_token_id,
        image_seq_length=tokens,
        vision_seq_length=patches,
        **config,
    )
    return MiniVLMForConditionalGeneration(full), processor


def from_pretrained_pair(vision: str, text: str, **config: object) -> Pair:
    """Pretrained backbones by Hub name or folder, joined by a new projector; `config` as of MiniVLMConfig."""
    try:
        patches = count_patches(vision)
        tokens = int(config.pop("image_seq_length", 0) or patches // int(config.get("pixel_shuffle", 1)) ** 2)
        processor = MiniVLMProcessor.from_backbones(vision, text, image_seq_length=tokens)
        model = MiniVLMForConditionalGeneration.from_backbones(
            vision, text, processor, vision_seq_length=patches, **config
        )
    except OSError as error:
        raise ValueError(
            f"The backbones {vision} and {text} cannot be loaded: {str(error).splitlines()[0]} Give folders that hold "
            "them, go online, or start from scratch with --size tiny or --size small."
        ) from error
    return model, processor


@torch.no_grad()
def count_patches(vision: str) -> int:
    """Patch features that a backbone gives for an image of its own size, without class and register tokens."""
    config = AutoConfig.from_pretrained(vision)
    config = getattr(config, "vision_config", config)
    with torch.device("meta"):  # shapes only
        tower = AutoModel.from_config(config)
        side = config.image_size if isinstance(getattr(config, "image_size", None), int) else 224
        features = tower(torch.zeros(1, 3, side, side)).last_hidden_state
    if features.ndim == 4:  # [1, C, H, W]
        return features.shape[2] * features.shape[3]
    return math.isqrt(features.shape[1]) ** 2  # the grid is square, and the other tokens are few


def from_checkpoint(checkpoint: str) -> Pair:
    """A MiniVLM checkpoint, a folder or a Hub name, to be trained on."""
    try:
        model = MiniVLMForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32)
        return model, MiniVLMProcessor.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        raise ValueError(f"There is no MiniVLM checkpoint at {checkpoint}: {str(error).splitlines()[0]}") from error


def _texts(sources: list[Source]) -> Iterator[str]:
    """What people and model say in the first rows of each source, and every digit a box is written with."""
    yield from (f" 0.{step:03d}, 0.{step:03d}" for step in range(1000))
    for source in sources:
        for index in islice(range(len(source)), TEXTS):
            try:
                turns = source.lazy_example(index).turns
            except InvalidRow:  # it is named when the rows are read for training
                continue
            for turn in turns:
                parts = turn.get("content", [{"text": turn.get("text", "")}])
                yield from (f" {part['text'].strip()}" for part in parts if part.get("text"))


def set_trainable(model: MiniVLMForConditionalGeneration, parts: set[str]) -> None:
    """Let gradients reach "vision", "projector" and "language" as named, and nothing else."""
    model.requires_grad_(False)
    modules = {
        "vision": [model.model.vision_tower],
        "projector": [model.model.projector],
        "language": [model.model.language_model, model.lm_head],
    }
    for part in parts:
        for module in modules[part]:
            module.requires_grad_(True)
