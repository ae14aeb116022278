"""Tiny random BLIP, BLIP-2 and GIT: see tests/families.py."""

import transformers as hf
from family_parts import BOX, SIDE, TEXT, VISION, WIDE, Made, bert_tokenizer, ids, tokenizer
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil


def blip2() -> Made:
    words = tokenizer("<image>")
    processor = hf.Blip2Processor(BlipImageProcessorPil(size=BOX), words, num_query_tokens=4)
    config = hf.Blip2Config(
        vision_config=VISION,
        qformer_config=dict(
            hidden_size=16,
            encoder_hidden_size=24,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            vocab_size=len(words),
            **WIDE,
        ),
        text_config=hf.OPTConfig(
            vocab_size=len(words),
            hidden_size=32,
            word_embed_proj_dim=32,
            ffn_dim=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=512,
            init_std=0.4,
            **ids(words),
        ),
        num_query_tokens=4,
        image_token_index=words.convert_tokens_to_ids("<image>"),
        **WIDE,
    )
    return hf.Blip2ForConditionalGeneration(config), processor


def blip(architecture: type = hf.BlipForConditionalGeneration) -> Made:
    words = bert_tokenizer()
    config = hf.BlipConfig(
        vision_config=VISION | {"hidden_size": 32},
        text_config=dict(
            vocab_size=len(words),
            encoder_hidden_size=32,
            sep_token_id=words.eos_token_id,
            **TEXT,
            **ids(words),
        ),
        projection_dim=16,
        image_text_hidden_size=16,
        **WIDE,
    )
    return architecture(config), hf.BlipProcessor(BlipImageProcessorPil(size=BOX), words)


def blip_answers() -> Made:
    return blip(hf.BlipForQuestionAnswering)


def git() -> Made:
    words = bert_tokenizer()
    config = hf.GitConfig(vision_config=VISION, vocab_size=len(words), **TEXT, **ids(words))
    image = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=BOX)
    return hf.GitForCausalLM(config), hf.GitProcessor(image, words)
