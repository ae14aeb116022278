"""One model in one precision, and the ways to write with it that `benchmarks.decode` compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import profile
from transformers import LlamaConfig, ResNetConfig, ViTConfig

from benchmarks.measure import timed
from vlm_demo.engine import ICONS, PHOTOGRAPHS
from vlm_demo.model import MiniVLMConfig, MiniVLMForConditionalGeneration
from vlm_demo.runners.base import Prompt, TokenSequence
from vlm_demo.runners.batched import BatchDecoder
from vlm_demo.runners.formats import decodes_in_int8, int8_linear
from vlm_demo.runners.linear import DenseLinear, Int8Linear, PackedLinear
from vlm_demo.runners.llama import LinearLayer

QUESTION = 12  # tokens of text behind the image
LISTED = 6  # operations of a profile
IMAGE, TEXT = 3, 50  # ids of the image's placeholder and of the first word


@dataclass(frozen=True)
class Shape:
    """A model to measure: how to make it, the pixels of an image, and how many tokens are worth the wait."""

    name: str
    make: Callable[[], MiniVLMForConditionalGeneration]
    side: int
    dtype: torch.dtype
    tokens: int
    tutorial_tokens: int
    device: str = "cpu"


def bundled_photographs() -> MiniVLMForConditionalGeneration:
    """The bundled model for photographs."""
    return MiniVLMForConditionalGeneration.from_pretrained(PHOTOGRAPHS, dtype=torch.float32)


def bundled_icons() -> MiniVLMForConditionalGeneration:
    """The bundled model for icon scenes, or random weights of its shape where there is none."""
    if (ICONS / "config.json").exists():
        return MiniVLMForConditionalGeneration.from_pretrained(ICONS, dtype=torch.float32)
    vision = ResNetConfig(
        embedding_size=64, hidden_sizes=[64, 128, 256], depths=[2, 2, 2], layer_type="basic", out_indices=[3]
    )
    text = LlamaConfig(
        vocab_size=1336,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=4,
        tie_word_embeddings=True,
    )
    return _random(vision, text, 64, image_positions=True, projector_hidden_size=256)


def large_model() -> MiniVLMForConditionalGeneration:
    """Random weights in the shapes of ViT-Base and SmolLM-135M."""
    text = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    return _random(ViTConfig(), text, 196)


def _random(vision: Any, text: Any, patches: int, **kwargs: Any) -> MiniVLMForConditionalGeneration:
    torch.manual_seed(0)
    config = MiniVLMConfig(
        vision_config=vision, text_config=text, image_token_id=IMAGE, image_seq_length=patches, **kwargs
    )
    return MiniVLMForConditionalGeneration(config)


class Bench:
    """One model in one precision, and the ways to write with it."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.model = shape.make().to(shape.device, shape.dtype).eval()
        self.model.generation_config.eos_token_id = None  # every way writes the same number of tokens
        image = self.model.config.image_token_id
        self.banned = self.model.generation_config.suppress_tokens or []
        patches = self.model.config.image_seq_length
        self.ids = [1, *[image] * patches, *range(TEXT, TEXT + QUESTION)]
        self.prefix = 1 + patches
        self.pixels = torch.rand(1, 3, shape.side, shape.side).to(shape.device, shape.dtype)
        with torch.inference_mode():
            self.features = self.model.get_vision_features(self.pixels)  # [1, N, C]
        self.written: dict[str, list[int]] = {}
        text = self.model.config.text_config
        self.largest = (text.hidden_size, 2 * text.intermediate_size)
        forms: dict[str, LinearLayer | None] = {"ours": None}
        if Int8Linear.available(shape.device):
            forms["ours, int8"] = int8_linear(*self.largest)
        if PackedLinear.available(self.model.lm_head.weight):  # what packing is worth
            forms["ours, not packed"] = DenseLinear
        self.decoders = {
            name: BatchDecoder(self.model, set(), self.banned, linear=form) for name, form in forms.items()
        }

    @torch.inference_mode()
    def tutorial(self) -> float:
        """Everything again for each token except the image. Seconds a token."""
        ids = torch.tensor([self.ids], device=self.shape.device)
        count = self.shape.tutorial_tokens

        def write() -> None:
            text = ids
            for _ in range(count):
                logits = self.model(text, image_features=self.features, use_cache=False).logits[:, -1]
                logits[:, self.banned] = -torch.inf
                text = torch.cat([text, logits.argmax(-1, keepdim=True)], dim=1)
            self.written["tutorial loop"] = text[0, len(self.ids) :].tolist()

        return timed(write) / count

    def generate(self, name: str, tokens: int, **options: Any) -> float:
        """transformers' own loop. Seconds a token."""
        ids = torch.tensor([self.ids], device=self.shape.device)

        def write() -> None:
            text = self.model.generate(
                ids, image_features=self.features, do_sample=False, max_new_tokens=tokens, **options
            )
            self.written[name] = text[0, len(self.ids) :].tolist()

        return timed(write) / tokens

    def ours(self, name: str, tokens: int, sequences: int = 1) -> float:
        """The engine's decoder on images that it has not read, one a sequence. Seconds a token and sequence."""
        decoder = self.decoders[name]
        decoder.prefixes.clear()
        running = [self._sequence(image) for image in range(sequences)]

        def write() -> None:
            decoder.prefill(running)
            for _ in range(tokens - 1):
                decoder.decode(running)

        seconds = timed(write)
        for sequence in running:
            decoder.release(sequence)
        self.written[name] = [step.id for step in running[0].outputs]
        return seconds / tokens / sequences

    @torch.inference_mode()
    def first_token(self, name: str, known: bool) -> float:
        """Seconds from the pixels to the first token; of a known image only the question is read."""
        decoder = self.decoders[name]
        sequence = self._sequence(0)
        if not known:
            decoder.prefixes.clear()

        def read() -> None:
            if not known:
                sequence.features = list(self.model.model.projector(self.model.get_vision_features(self.pixels)))
            decoder.prefill([sequence])

        seconds = timed(read)
        decoder.release(sequence)
        return seconds

    def profile(self, name: str, steps: int = 20) -> list[dict[str, Any]]:
        """The operations that take the most time in a step of one sequence."""
        decoder, sequence = self.decoders[name], self._sequence(0)
        decoder.prefill([sequence])
        decoder.decode([sequence])
        with profile() as profiled:
            for _ in range(steps):
                decoder.decode([sequence])
        decoder.release(sequence)
        operations = sorted(profiled.key_averages(), key=lambda one: -one.self_cpu_time_total)
        whole = sum(one.self_cpu_time_total for one in operations)
        return [
            {"operation": one.key, "share of the time": one.self_cpu_time_total / whole, "calls": one.count // steps}
            for one in operations[:LISTED]
        ]

    @property
    def default(self) -> str:
        """What the engine chooses on this device by itself."""
        return "ours, int8" if self.shape.device == "cpu" and decodes_in_int8(*self.largest) else "ours"

    def same(self, name: str) -> float:
        """Share of the tokens before the first that differs from those of `generate()`."""
        mine = self.written[name]
        pairs = list(zip(mine, self.written["generate(), dynamic cache"], strict=False))
        return next((at for at, (one, other) in enumerate(pairs) if one != other), len(pairs)) / len(pairs)

    @torch.inference_mode()
    def _sequence(self, image: int) -> TokenSequence:
        prompt = Prompt(self.ids, [_Image(bytes([image]))], self.shape.tokens, prefix=self.prefix)
        return TokenSequence(prompt, features=list(self.model.model.projector(self.features)))


@dataclass(frozen=True)
class _Image:
    key: bytes
