"""What the tiny models of tests/families.py have in common: sizes, a tokenizer, a language model."""

from typing import Any

import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SIDE, PATCH = 32, 16  # pixels
PATCHES = (SIDE // PATCH) ** 2
WIDE = {"initializer_range": 0.4}  # large, so that answers of a random model depend on the image
TEXT = dict(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=512,
    **WIDE,
)
VISION = dict(
    hidden_size=24,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    image_size=SIDE,
    patch_size=PATCH,
    **WIDE,
)
CHAT = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
BOX = {"height": SIDE, "width": SIDE}
PINPOINTS = [[SIDE, SIDE], [SIDE, 2 * SIDE]]

Made = tuple[hf.PreTrainedModel, hf.ProcessorMixin]


def tokenizer(
    *special: str, bos: str = "<s>", eos: str = "</s>", ends: bool = False, **kwargs: Any
) -> hf.PreTrainedTokenizerFast:
    """A byte-level BPE of a few hundred tokens; with `ends`, texts are put between `bos` and `eos` as BERT does it."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<pad>", bos, eos, "<unk>"],
        show_progress=False,
    )
    core.train_from_iterator(["how many cats are there? the red cat and the blue dog"], trainer)
    if ends:
        core.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A {eos}", special_tokens=[(token, core.token_to_id(token)) for token in (bos, eos)]
        )
    fast_tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token=bos, eos_token=eos, unk_token="<unk>", **kwargs
    )
    fast_tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    return fast_tokenizer


def bert_tokenizer() -> hf.PreTrainedTokenizerFast:
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    marks = {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    return tokenizer(bos="[CLS]", eos="[SEP]", ends=True, model_input_names=inputs, **marks)


def ids(fast_tokenizer: hf.PreTrainedTokenizerFast) -> dict[str, int]:
    return {f"{name}_token_id": getattr(fast_tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}


def llama(words: hf.PreTrainedTokenizerFast) -> hf.LlamaConfig:
    return hf.LlamaConfig(vocab_size=len(words), num_key_value_heads=2, **TEXT, **ids(words))
