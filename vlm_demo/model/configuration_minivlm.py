"""Configuration of MiniVLM: any vision backbone, a projector, any causal language model."""

import math
from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec


@strict
class MiniVLMConfig(PreTrainedConfig):
    """
    Args:
        vision_config: Config (or dict with `model_type`) of any backbone whose `last_hidden_state` is a grid
            `[B, C, H, W]` or a sequence `[B, N, C]`.
        text_config: Config (or dict with `model_type`) of any causal language model.
        image_token_id: Id of the `<image>` placeholder in the language model's vocabulary.
        image_seq_length: Image tokens (and so placeholders) that an image takes in the language model. "qformer" and
            "resampler" have as many queries; "linear" and "mlp" give one token for each patch feature or, with
            `pixel_shuffle`, for each square of them.
        vision_seq_length: Patch features of an image from the vision backbone; None where each becomes one image token
            (with `pixel_shuffle`, each square of them).
        projector: Kind of projector, see `projectors.py`.
        projector_hidden_size: Width inside the projector; None takes the language model's hidden size.
        projector_layers: Layers of "qformer" and "resampler".
        pixel_shuffle: Squares of so many by so many patch features become one longer feature before the projector,
            for large grids; 1 leaves the grid as it is.
        image_positions: Add a learned position embedding to the patch features in the projector, for backbones such as
            ResNet whose feature maps do not say where they are.
        tie_word_embeddings: Share input and output embeddings; True as well where `text_config` says so.

    Raises:
        ValueError: The lengths do not fit the projector, or the grid cannot be cut into squares.
    """

    model_type = "minivlm"
    sub_configs_defaults = {
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type="vit"),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="llama"),
    }

    vision_config: dict | PreTrainedConfig | None = None
    text_config: dict | PreTrainedConfig | None = None
    image_token_id: int = 3
    image_seq_length: int = 196
    vision_seq_length: int | None = None
    projector: Literal["linear", "mlp", "qformer", "resampler"] = "mlp"
    projector_hidden_size: int | None = None
    projector_layers: int = 2
    pixel_shuffle: int = 1
    image_positions: bool = False
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.projector_hidden_size is None:
            self.projector_hidden_size = self.text_config.hidden_size
        if self.vision_seq_length is None:
            self.vision_seq_length = self.image_seq_length * self.pixel_shuffle**2
        self._check_lengths()
        # The model reads only the top-level flag, but language models keep theirs in their own config.
        self.tie_word_embeddings = self.tie_word_embeddings or self.text_config.tie_word_embeddings

    def _check_lengths(self) -> None:
        side = math.isqrt(self.vision_seq_length)
        if self.pixel_shuffle > 1 and (side**2 != self.vision_seq_length or side % self.pixel_shuffle):
            raise ValueError(
                f"pixel_shuffle {self.pixel_shuffle} needs a square grid whose side it divides, "
                f"but there are {self.vision_seq_length} patch features."
            )
        if self.projector in ("linear", "mlp") and self.image_seq_length != self.projector_seq_length:
            raise ValueError(
                f"The projector {self.projector!r} makes {self.projector_seq_length} image tokens of "
                f"{self.vision_seq_length} patch features (pixel_shuffle {self.pixel_shuffle}), "
                f"but image_seq_length is {self.image_seq_length}."
            )

    @property
    def projector_seq_length(self) -> int:
        """Features that the projector reads, after `pixel_shuffle`."""
        return self.vision_seq_length // self.pixel_shuffle**2

    @property
    def projector_input_size(self) -> int:
        """Width of the features that the projector reads, after `pixel_shuffle`."""
        return self.vision_hidden_size * self.pixel_shuffle**2

    @property
    def vision_hidden_size(self) -> int:
        """Channels of the vision backbone's last feature map."""
        width = getattr(self.vision_config, "hidden_size", None)  # ViT, CLIP, DINO, Swin
        return width if width is not None else self.vision_config.hidden_sizes[-1]  # ResNet, ConvNeXt


__all__ = ["MiniVLMConfig"]
