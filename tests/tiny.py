"""A tiny random MiniVLM, its tokenizer and processor, made in memory for tests."""

import numpy as np
import torch
from PIL import Image
from transformers import LlamaConfig, PreTrainedConfig, PreTrainedTokenizerFast, ResNetConfig, ViTConfig
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from train.finetune.tokenizer import build_tokenizer
from vlm_demo.model import MiniVLMConfig, MiniVLMForConditionalGeneration, MiniVLMProcessor

IMAGE_SIZE = 32
IMAGE_SEQ_LENGTH = 4
GREEDY = {"max_new_tokens": 12, "do_sample": False}
CORPUS = [
    "how many cats are there? what colour is the red dog? where is this? grass sea beach night snow room",
    'a red cat on the left of a blue dog and 2 green trees {"objects": [{"label": "dog", "bbox": [0.120, 0.340]}]}',
    "0 1 2 3 4 5 6 7 8 9 yes no brief detailed alt text What changed? Which image shows a red cat?",
]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of a few hundred tokens with all special tokens of the layout."""
    return build_tokenizer(CORPUS, vocab_size=360)


def tiny_processor(
    tokenizer: PreTrainedTokenizerFast | None = None, image_seq_length: int = IMAGE_SEQ_LENGTH
) -> MiniVLMProcessor:
    """Pictures of 32x32 pixels, four image tokens each."""
    image_processor = ViTImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    return MiniVLMProcessor(image_processor, tokenizer or tiny_tokenizer(), image_seq_length=image_seq_length)


def tiny_resnet_config() -> ResNetConfig:
    """Features `[B, 24, 2, 2]` of a 32x32 picture."""
    return ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24],
        depths=[1, 1, 1],
        layer_type="basic",
        downsample_in_first_stage=False,
    )


def tiny_vit_config() -> ViTConfig:
    """Features `[B, 1 + 4, 24]` of a 32x32 picture."""
    return ViTConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=IMAGE_SIZE,
        patch_size=16,
    )


def tiny_text_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.3,  # large, so that answers of a random model depend on the picture
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def tiny_config(processor: MiniVLMProcessor, vision_config: PreTrainedConfig | None = None, **kwargs) -> MiniVLMConfig:
    """A config for `processor`, with a ResNet unless another vision config is given."""
    return MiniVLMConfig(
        vision_config=vision_config or tiny_resnet_config(),
        text_config=tiny_text_config(processor.tokenizer),
        image_token_id=processor.image_token_id,
        **{"image_seq_length": IMAGE_SEQ_LENGTH, "image_positions": True, **kwargs},
    )


def tiny_model(config: MiniVLMConfig, seed: int = 0) -> MiniVLMForConditionalGeneration:
    """A random model in evaluation mode, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MiniVLMForConditionalGeneration(config).eval()


def images(count: int, seed: int = 0) -> torch.Tensor:
    """Preprocessed pictures `[count, 3, H, W]`."""
    return torch.randn(count, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(seed))


def prompt(processor, text: str, n_images: int = 1) -> torch.Tensor:
    """A question about pictures, `[1, T]`."""
    chat = [{"role": "user", "task": "vqa", "text": text}]
    return torch.tensor([processor.encode_chat(chat, n_images)])  # [1, T]


def padded(processor, rows: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Prompts `[1, T]` as the rows of one batch."""
    return processor.tokenizer.pad({"input_ids": [row[0].tolist() for row in rows]}, return_tensors="pt")


def image(seed: int) -> Image.Image:
    """Noise."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8))
