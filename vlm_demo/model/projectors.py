"""Projectors: what makes image tokens for the language model of the vision backbone's patch features.

"linear" and "mlp" project each patch feature by itself. "qformer" and "resampler" have a fixed number of learned
queries that look at all patch features, so that an image takes as many image tokens as one likes.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Blip2QFormerConfig, Blip2QFormerModel, IdeficsConfig
from transformers.models.idefics.perceiver import IdeficsPerceiverResampler

from .configuration_minivlm import MiniVLMConfig


def pixel_shuffle(features: torch.Tensor, factor: int) -> torch.Tensor:
    """Squares of a grid as one longer feature each (space to depth), as Idefics3 does (Laurençon et al. 2024).

    Args:
        features: `[num_images, N, C]`, the rows of a square grid one after another.
        factor: Side of the squares; it divides the side of the grid.

    Returns:
        `[num_images, N / factor**2, C * factor**2]`, again row by row.
    """
    side = math.isqrt(features.shape[1])
    grid = features.transpose(1, 2).unflatten(2, (side, side))  # [num_images, C, side, side]
    return F.pixel_unshuffle(grid, factor).flatten(2).transpose(1, 2)


class Projector(nn.Module):
    """What all kinds share: `[num_images, vision_seq_length, C]` to `[num_images, image_seq_length, D]`."""

    def __init__(self, config: MiniVLMConfig):
        super().__init__()
        self.pixel_shuffle = config.pixel_shuffle

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = features.to(next(self.parameters()).dtype)  # cached features may be kept in half precision
        return self.project(pixel_shuffle(features, self.pixel_shuffle) if self.pixel_shuffle > 1 else features)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """`[num_images, projector_seq_length, projector_input_size]` to `[num_images, image_seq_length, D]`."""
        raise NotImplementedError


class LinearProjector(Projector):
    """One matrix, as LLaVA has it (Liu et al. 2023)."""

    def __init__(self, config: MiniVLMConfig):
        super().__init__(config)
        self.linear = nn.Linear(config.projector_input_size, config.text_config.hidden_size)
        self.positions = new_positions(config, config.text_config.hidden_size)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        return add_positions(self.linear(features), self.positions)


class MLPProjector(Projector):
    """Linear, GELU, LayerNorm, Linear; LLaVA-1.5 (Liu et al. 2023) with a norm between."""

    def __init__(self, config: MiniVLMConfig):
        super().__init__(config)
        self.linear_1 = nn.Linear(config.projector_input_size, config.projector_hidden_size)
        self.act = nn.GELU()
        self.norm = nn.LayerNorm(config.projector_hidden_size)
        self.linear_2 = nn.Linear(config.projector_hidden_size, config.text_config.hidden_size)
        self.positions = new_positions(config, config.text_config.hidden_size)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        return add_positions(self.linear_2(self.norm(self.act(self.linear_1(features)))), self.positions)


class QFormerProjector(Projector):
    """The Q-Former of BLIP-2 (Li et al. 2023) without its text side: in each layer the queries look at each other, then
    at the patch features."""

    def __init__(self, config: MiniVLMConfig):
        super().__init__(config)
        width = config.projector_hidden_size
        self.norm = nn.LayerNorm(config.projector_input_size)
        self.positions = new_positions(config, config.projector_input_size)
        self.queries = nn.Embedding(config.image_seq_length, width)
        self.qformer = Blip2QFormerModel(
            Blip2QFormerConfig(
                hidden_size=width,
                num_hidden_layers=config.projector_layers,
                num_attention_heads=width // head_size(width),
                intermediate_size=4 * width,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
                cross_attention_frequency=1,  # BLIP-2 looks at the image in every second of twelve layers
                encoder_hidden_size=config.projector_input_size,
            )
        )
        self.linear = nn.Linear(width, config.text_config.hidden_size)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        features = add_positions(self.norm(features), self.positions)
        queries = self.queries.weight.expand(len(features), -1, -1)  # [num_images, Q, width]
        return self.linear(self.qformer(queries, encoder_hidden_states=features).last_hidden_state)


class ResamplerProjector(Projector):
    """The Perceiver resampler of Flamingo (Alayrac et al. 2022): in each layer the queries look at the patch features
    and at themselves together."""

    def __init__(self, config: MiniVLMConfig):
        super().__init__(config)
        width = config.projector_hidden_size
        self.linear_1 = nn.Linear(config.projector_input_size, width)
        self.positions = new_positions(config, width)
        self.resampler = IdeficsPerceiverResampler(
            IdeficsConfig(vision_config={"embed_dim": width}),
            embed_dim=width,
            depth=config.projector_layers,
            n_heads=width // head_size(width),
            head_dim=head_size(width),
            n_latents=config.image_seq_length,
        )
        self.linear_2 = nn.Linear(width, config.text_config.hidden_size)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        return self.linear_2(self.resampler(add_positions(self.linear_1(features), self.positions)))


def new_positions(config: MiniVLMConfig, width: int) -> nn.Embedding | None:
    """One learned vector for each feature, for backbones whose features do not say where they are."""
    return nn.Embedding(config.projector_seq_length, width) if config.image_positions else None


def add_positions(features: torch.Tensor, positions: nn.Embedding | None) -> torch.Tensor:
    return features if positions is None else features + positions.weight  # [num_images, N, width]


def head_size(width: int) -> int:
    """Width of an attention head: 64, or the largest power of two that divides `width`."""
    return math.gcd(width, 64)


def new_projector(config: MiniVLMConfig) -> Projector:
    """The untrained projector that a config names."""
    kinds = {
        "linear": LinearProjector,
        "mlp": MLPProjector,
        "qformer": QFormerProjector,
        "resampler": ResamplerProjector,
    }
    return kinds[config.projector](config)


__all__ = ["new_projector"]
