"""Configuration of MiniVLM: any vision backbone, a projector, any causal language model."""

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
        image_seq_length: Patch features (and so placeholders) per picture.
        projector: Kind of projector; "mlp" is Linear, GELU, LayerNorm, Linear.
        projector_hidden_size: Width inside the projector; None takes the language model's hidden size.
        image_positions: Add a learned position embedding to the projected features, for backbones such as ResNet
            whose feature maps do not say where they are.
        tie_word_embeddings: Share input and output embeddings; True as well where `text_config` says so.
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
    projector: Literal["mlp"] = "mlp"
    projector_hidden_size: int | None = None
    image_positions: bool = False
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.projector_hidden_size is None:
            self.projector_hidden_size = self.text_config.hidden_size
        # The model reads only the top-level flag, but language models keep theirs in their own config.
        self.tie_word_embeddings = self.tie_word_embeddings or self.text_config.tie_word_embeddings

    @property
    def vision_hidden_size(self) -> int:
        """Channels of the vision backbone's last feature map."""
        width = getattr(self.vision_config, "hidden_size", None)  # ViT, CLIP, DINO, Swin
        return width if width is not None else self.vision_config.hidden_sizes[-1]  # ResNet, ConvNeXt


__all__ = ["MiniVLMConfig"]
