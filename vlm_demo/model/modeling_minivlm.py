"""MiniVLM: patch features of any vision backbone, projected into any causal language model where `<image>` stands."""

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, Cache, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPooling
from transformers.modeling_utils import slice_logits_to_keep
from transformers.models.idefics.perceiver import IdeficsPerceiverResampler
from transformers.models.llava.modeling_llava import LlavaCausalLMOutputWithPast, LlavaModelOutputWithPast
from transformers.utils import torch_compilable_check
from transformers.utils.generic import can_return_tuple

from .configuration_minivlm import MiniVLMConfig
from .projectors import new_projector


class MiniVLMPreTrainedModel(PreTrainedModel):
    config_class = MiniVLMConfig
    base_model_prefix = "model"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = ["past_key_values"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, IdeficsPerceiverResampler):  # its queries are a bare parameter
            init.normal_(module.latents)


class MiniVLMModel(MiniVLMPreTrainedModel):
    """Vision backbone, projector and language model without its head."""

    def __init__(self, config: MiniVLMConfig):
        super().__init__(config)
        self.vision_tower = AutoModel.from_config(config.vision_config)
        self.projector = new_projector(config)
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_vision_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Patch features before the projector.

        Args:
            pixel_values: `[num_images, 3, H, W]`, the images of all rows one after another.

        Returns:
            `[num_images, vision_seq_length, C]`, row-major over the grid, without class and register tokens.

        Raises:
            ValueError: The backbone gives another number of patches than `config.vision_seq_length`.
        """
        return self.get_vision_outputs(pixel_values)[0]

    def get_vision_outputs(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, BaseModelOutput]:
        """The features of `get_vision_features`, and all that the vision backbone gives, such as regions."""
        outputs = self.vision_tower(pixel_values.to(self.vision_tower.dtype))
        features = outputs.last_hidden_state
        expected, prefix_limit = self.config.vision_seq_length, 0
        if features.ndim == 4:  # [num_images, C, H, W]
            features = features.flatten(2).transpose(1, 2)
        else:  # [num_images, prefix + N, C]; the prefix: a class token, DeiT's second one, DINO's registers
            prefix_limit = 2 + getattr(self.config.vision_config, "num_register_tokens", 0)
        if not 0 <= features.shape[1] - expected <= prefix_limit:
            raise ValueError(
                f"The vision backbone gives {features.shape[1]} features for an image of "
                f"{pixel_values.shape[-2]}x{pixel_values.shape[-1]} pixels, but vision_seq_length is {expected}: "
                "let the image processor resize to the size that the model was built for."
            )
        return features[:, -expected:], outputs

    @can_return_tuple
    def get_image_features(self, pixel_values: torch.Tensor, **kwargs) -> BaseModelOutputWithPooling:
        """Projected features `pooler_output` `[num_images, image_seq_length, D]` of `[num_images, 3, H, W]`;
        `last_hidden_state` holds the vision features before the projector."""
        features = self.get_vision_features(pixel_values)
        return BaseModelOutputWithPooling(last_hidden_state=features, pooler_output=self.projector(features))

    def insert_image_features(
        self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor, projected: torch.Tensor | None
    ) -> torch.Tensor:
        """Put `projected` `[num_images, image_seq_length, D]` over the placeholders of `inputs_embeds` `[B, T, D]`.

        Raises:
            ValueError: The number of placeholders is not the number of features.
        """
        if input_ids is None:
            image_token = torch.tensor(self.config.image_token_id, device=inputs_embeds.device)
            at_image = (inputs_embeds == self.get_input_embeddings()(image_token)).all(-1)
        else:
            at_image = input_ids == self.config.image_token_id  # [B, T]
        length = self.config.image_seq_length
        features = 0 if projected is None else projected.shape[0] * projected.shape[1]
        torch_compilable_check(
            at_image.sum() == features,
            lambda: (
                f"The text holds {int(at_image.sum())} image placeholders ({length} for each image), "
                f"but {features} image features were given ({features / length:g} images): "
                "pass as many images as the text mentions."
            ),
        )
        if projected is None:
            return inputs_embeds
        projected = projected.to(inputs_embeds.device, inputs_embeds.dtype)
        return inputs_embeds.masked_scatter(at_image[..., None], projected)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        image_features: torch.Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs,
    ) -> LlavaModelOutputWithPast:
        """See `MiniVLMForConditionalGeneration.forward`."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Pass exactly one of input_ids and inputs_embeds.")
        encoded = (mm_encoder_outputs or {}).get("image")
        if sum(source is not None for source in (pixel_values, image_features, encoded)) > 1:
            raise ValueError("Pass only one of pixel_values, image_features and mm_encoder_outputs.")
        if pixel_values is not None:
            image_features = self.get_vision_features(pixel_values)
        projected = self.projector(image_features) if image_features is not None else None
        if encoded is not None:
            projected = encoded.pooler_output

        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)  # [B, T, D]
        decoding = past_key_values is not None and past_key_values.get_seq_length() > 0
        if projected is not None or not decoding:
            inputs_embeds = self.insert_image_features(input_ids, inputs_embeds, projected)

        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            **kwargs,
        )
        return LlavaModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=projected,
        )


class MiniVLMForConditionalGeneration(MiniVLMPreTrainedModel, GenerationMixin):
    """MiniVLM with its language-modelling head: training loss and `generate()`."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}

    def __init__(self, config: MiniVLMConfig):
        super().__init__(config)
        self.model = MiniVLMModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()
        # A placeholder stands for an image that the user gave; the model must not write one itself.
        self.generation_config.suppress_tokens = [config.image_token_id]

    @classmethod
    def from_backbones(
        cls, vision_name_or_path: str, text_name_or_path: str, processor, **config_kwargs
    ) -> "MiniVLMForConditionalGeneration":
        """Join pretrained backbones (folders or Hub names) by a new, untrained projector; in float32, to be trained.

        Args:
            vision_name_or_path: A vision backbone; of a two-tower model such as CLIP, the vision tower is taken.
            text_name_or_path: A causal language model. Its embeddings grow to the processor's vocabulary.
            processor: A `MiniVLMProcessor`, such as `MiniVLMProcessor.from_backbones` gives; its tokenizer holds the
                special tokens, and its `image_seq_length` is the model's.
            config_kwargs: Further fields of `MiniVLMConfig`, such as `projector`; "qformer" and "resampler" need
                `vision_seq_length`, the backbone's patch features at the processor's image size.
        """
        vision_config = AutoConfig.from_pretrained(vision_name_or_path)
        vision_config = getattr(vision_config, "vision_config", vision_config)
        vision_tower = AutoModel.from_pretrained(vision_name_or_path, config=vision_config, dtype=torch.float32)
        language_model = AutoModelForCausalLM.from_pretrained(text_name_or_path, dtype=torch.float32)
        tokenizer = processor.tokenizer
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            setattr(language_model.config, name, getattr(tokenizer, name))
        if len(tokenizer) > language_model.config.vocab_size:
            language_model.resize_token_embeddings(len(tokenizer))
        config = MiniVLMConfig(
            vision_config=vision_tower.config,
            text_config=language_model.config,
            image_token_id=processor.image_token_id,
            image_seq_length=processor.image_seq_length,
            **config_kwargs,
        )
        model = cls(config)
        model.model.vision_tower = vision_tower
        model.model.language_model = language_model.base_model
        model.lm_head = language_model.get_output_embeddings()
        model.tie_weights()
        return model

    def get_input_embeddings(self) -> nn.Module:
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def get_vision_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Patch features before the projector, see `MiniVLMModel.get_vision_features`."""
        return self.model.get_vision_features(pixel_values)

    def get_image_features(self, pixel_values: torch.Tensor, **kwargs) -> BaseModelOutputWithPooling:
        """Projected patch features, see `MiniVLMModel.get_image_features`."""
        return self.model.get_image_features(pixel_values, **kwargs)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        image_features: torch.Tensor | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs,
    ) -> LlavaCausalLMOutputWithPast:
        """
        Args:
            input_ids: `[B, T]`; every image is `image_seq_length` placeholders in a row.
            pixel_values: `[num_images, 3, H, W]`, the images of all rows one after another.
            attention_mask: `[B, T]`, or a mask of one's own `[B, 1, T, T]` that the language model gets untouched.
            position_ids: `[B, T]`, passed on untouched.
            labels: `[B, T]`, -100 where no loss is wanted; shifted here, so equal to `input_ids` elsewhere.
            image_features: `[num_images, vision_seq_length, C]` from `get_vision_features`, instead of `pixel_values`.
            mm_encoder_outputs: What `generate()` encoded before its first step, instead of either.
        """
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            image_features=image_features,
            mm_encoder_outputs=mm_encoder_outputs,
            **kwargs,
        )
        logits = self.lm_head(slice_logits_to_keep(outputs.last_hidden_state, logits_to_keep))  # [B, T, V]
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.text_config.vocab_size, **kwargs
            )
        return LlavaCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
        )

    @torch.no_grad()
    def generate(self, inputs: torch.Tensor | None = None, *args, image_features: torch.Tensor | None = None, **kwargs):
        """`GenerationMixin.generate`, which also takes `image_features` `[num_images, vision_seq_length, C]` from
        `get_vision_features` instead of `pixel_values`, so that an image is encoded once for many questions."""
        if image_features is not None:
            # transformers' own way for encoded images: expanded for several answers, dropped after the first step
            projected = self.model.projector(image_features)
            encoded = BaseModelOutputWithPooling(last_hidden_state=image_features, pooler_output=projected)
            kwargs["mm_encoder_outputs"] = {"image": encoded}
        if kwargs.get("pixel_values") is None:  # transformers would try to encode it
            kwargs.pop("pixel_values", None)
        return super().generate(inputs, *args, **kwargs)


__all__ = ["MiniVLMForConditionalGeneration", "MiniVLMModel", "MiniVLMPreTrainedModel"]
