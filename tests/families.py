"""Tiny random models of other families, saved to a folder with processor and tokenizer as they lie on the Hub.

Processors that bring a video processor need torchvision, which has no CPU build: those are made here without videos,
and cannot be read back from the folder.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch
import transformers as hf
from families_blip import blip, blip2, blip_answers, git
from family_parts import (
    BOX,
    CHAT,
    PATCH,
    PATCHES,
    PINPOINTS,
    SIDE,
    TEXT,
    VISION,
    WIDE,
    Made,
    ids,
    llama,
    tokenizer,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm import processing_smolvlm
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil


def idefics3() -> Made:
    marks = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
    words = tokenizer(*marks, *(f"<row_{row}_col_{col}>" for row in range(1, 3) for col in range(1, 3)))
    image = Idefics3ImageProcessorPil(
        size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=False
    )
    processor = hf.Idefics3Processor(image, words, image_seq_len=1, chat_template=CHAT)
    config = hf.Idefics3Config(
        vision_config=VISION,
        text_config=llama(words),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=words.pad_token_id,
    )
    return hf.Idefics3ForConditionalGeneration(config), processor


def llava() -> Made:
    words = tokenizer("<image>")
    processor = hf.LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=BOX),
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(projection_dim=24, **VISION),
        text_config=llama(words),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        image_seq_length=PATCHES,
        vision_feature_layer=-1,
    )
    return hf.LlavaForConditionalGeneration(config), processor


def llava_next() -> Made:
    words = tokenizer("<image>")
    processor = hf.LlavaNextProcessor(
        LlavaNextImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=BOX, image_grid_pinpoints=PINPOINTS),
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(projection_dim=24, **VISION),
        text_config=llama(words),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=PINPOINTS,
        vision_feature_layer=-1,
    )
    return hf.LlavaNextForConditionalGeneration(config), processor


def paligemma() -> Made:
    words = tokenizer("<image>", bos="<bos>", eos="<eos>")
    image = SiglipImageProcessorPil(size=BOX)
    image.image_seq_length = PATCHES
    processor = hf.PaliGemmaProcessor(image, words)  # which adds the location tokens
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**VISION),
        text_config=hf.GemmaConfig(
            vocab_size=len(words), num_key_value_heads=1, head_dim=8, **TEXT, **ids(words), hidden_activation="gelu"
        ),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        hidden_size=32,
    )
    return hf.PaliGemmaForConditionalGeneration(config), processor


def florence2() -> Made:
    places = (f"<loc_{place}>" for place in range(1000))
    words = tokenizer(*places, ends=True, extra_special_tokens={"image_token": "<image>"})
    image = CLIPImageProcessorPil(size=BOX, do_center_crop=False)
    image.image_seq_length = 5
    processor = hf.Florence2Processor(image, words)
    config = hf.Florence2Config(
        vision_config=dict(
            embed_dim=(8, 16),
            num_heads=(2, 2),
            num_groups=(2, 2),
            depths=(1, 1),
            patch_size=(7, 3),
            patch_stride=(4, 4),
            patch_padding=(3, 1),
            patch_prenorm=(False, True),
            window_size=2,
            projection_dim=32,
            **WIDE,
        ),
        text_config=hf.BartConfig(
            vocab_size=len(words),
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=48,
            decoder_ffn_dim=48,
            max_position_embeddings=512,
            init_std=0.4,
            decoder_start_token_id=words.eos_token_id,
            **ids(words),
        ),
        image_token_id=words.image_token_id,
    )
    return hf.Florence2ForConditionalGeneration(config), processor


def vipllava() -> Made:
    """A family without a dialect of its own."""
    _, processor = llava()
    words = processor.tokenizer
    config = hf.VipLlavaConfig(
        vision_config=hf.CLIPVisionConfig(projection_dim=24, **VISION),
        text_config=llama(words),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layers=[-1, -2],
    )
    return hf.VipLlavaForConditionalGeneration(config), processor


def without_videos(processor: type[hf.ProcessorMixin]) -> type[hf.ProcessorMixin]:
    return type(
        processor.__name__, (processor,), {"check_argument_for_proper_class": lambda self, name, argument: None}
    )


def llava_onevision() -> Made:
    words = tokenizer("<image>", "<video>")
    processor = without_videos(hf.LlavaOnevisionProcessor)(
        LlavaOnevisionImageProcessorPil(size=BOX, image_grid_pinpoints=PINPOINTS),
        words,
        video_processor=None,
        num_image_tokens=PATCHES,
        vision_feature_select_strategy="full",
        chat_template=CHAT,
    )
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**VISION),
        text_config=hf.Qwen2Config(vocab_size=len(words), num_key_value_heads=2, **TEXT, **ids(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=PINPOINTS,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    return hf.LlavaOnevisionForConditionalGeneration(config), processor


def smolvlm() -> Made:
    words = tokenizer("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
    image = SmolVLMImageProcessorPil(
        size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=False
    )
    videos = SimpleNamespace(num_frames=1, fps=1, video_sampling={})  # asked for, and not used
    with mock.patch.object(processing_smolvlm, "num2words", str):  # so is the package num2words
        processor = without_videos(hf.SmolVLMProcessor)(image, words, videos, image_seq_len=1, chat_template=CHAT)
    config = hf.SmolVLMConfig(
        vision_config=VISION,
        text_config=llama(words),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=words.pad_token_id,
    )
    return hf.SmolVLMForConditionalGeneration(config), processor


def qwen(number: str) -> Made:
    marks = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    words = tokenizer(*marks)
    patch = {"2_5": 14, "3": 16}[number]
    processor = without_videos(getattr(hf, {"2_5": "Qwen2_5_VLProcessor", "3": "Qwen3VLProcessor"}[number]))(
        Qwen2VLImageProcessorPil(patch_size=patch, size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 16}),
        words,
        video_processor=None,
        chat_template=CHAT.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    text = dict(
        vocab_size=len(words),
        num_key_value_heads=2,
        head_dim=8,
        rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        **TEXT,
        **ids(words),
    )
    vision = dict(
        depth=2, hidden_size=32, intermediate_size=48, num_heads=2, out_hidden_size=32, patch_size=patch, **WIDE
    )
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    tokens = {name: words.convert_tokens_to_ids(mark) for name, mark in zip(names, marks, strict=True)}
    if number == "3":
        vision |= {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
        config = hf.Qwen3VLConfig(text_config=text, vision_config=vision, **tokens)
        return hf.Qwen3VLForConditionalGeneration(config), processor
    vision |= {"window_size": 28, "fullatt_block_indexes": [1]}
    config = hf.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **tokens)
    return hf.Qwen2_5_VLForConditionalGeneration(config), processor


def qwen2_5_vl() -> Made:
    return qwen("2_5")


def qwen3_vl() -> Made:
    return qwen("3")


WHOLE = (idefics3, llava, llava_next, paligemma, florence2, blip2, blip, blip_answers, git, vipllava)
WITHOUT_VIDEOS = (smolvlm, llava_onevision, qwen2_5_vl, qwen3_vl)
BUILDERS: dict[str, Callable[[], Made]] = {one.__name__: one for one in (*WHOLE, *WITHOUT_VIDEOS)}


def save(family: str, folder: Path) -> hf.ProcessorMixin:
    """A random model of `family`, always the same, and its processor, which is returned too."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, processor = BUILDERS[family]()
    model.eval().save_pretrained(folder)
    if BUILDERS[family] in WHOLE:
        processor.save_pretrained(folder)
    return processor
