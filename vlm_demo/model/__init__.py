"""MiniVLM as transformers wants it; importing this package lets the Auto classes load it without remote code."""

from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor

from .configuration_minivlm import MiniVLMConfig
from .configuration_photo_vision import PhotoVisionConfig
from .modeling_minivlm import MiniVLMForConditionalGeneration, MiniVLMModel
from .modeling_photo_vision import PhotoVisionModel
from .processing_minivlm import MiniVLMProcessor, special_tokens

AutoConfig.register(PhotoVisionConfig.model_type, PhotoVisionConfig)
AutoModel.register(PhotoVisionConfig, PhotoVisionModel)
AutoConfig.register(MiniVLMConfig.model_type, MiniVLMConfig)
AutoModel.register(MiniVLMConfig, MiniVLMModel)
AutoModelForImageTextToText.register(MiniVLMConfig, MiniVLMForConditionalGeneration)
AutoProcessor.register(MiniVLMConfig, MiniVLMProcessor)

# For the Hub: saving copies these files beside the weights and names them in `auto_map`.
MiniVLMConfig.register_for_auto_class()
MiniVLMModel.register_for_auto_class("AutoModel")
MiniVLMForConditionalGeneration.register_for_auto_class("AutoModelForImageTextToText")
MiniVLMProcessor.register_for_auto_class()

__all__ = [
    "MiniVLMConfig",
    "MiniVLMForConditionalGeneration",
    "MiniVLMModel",
    "MiniVLMProcessor",
    "PhotoVisionConfig",
    "PhotoVisionModel",
    "special_tokens",
]
