"""A tokenizer for a language model from scratch: byte-level BPE in which a word, a coordinate, a piece of JSON is one
token each."""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from vlm_demo.model import special_tokens

# Pieces that are never split further once they are frequent; everything else falls back to single bytes.
PRETOKENS = Regex(
    r' ?\{"objects": \[|\{"label": "|", "bbox": \[|", "image": |, "bbox": \[|\]\}\]\}|\]\}, |\]\}'
    r"|0\.\d{3}(?:, )?| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"
)


def build_tokenizer(texts: Iterable[str], vocab_size: int = 4096) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer over `texts`, smaller than `vocab_size` where there is nothing left to merge."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(PRETOKENS, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=["<pad>", "<s>", "</s>", *special_tokens()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=special_tokens(),
        clean_up_tokenization_spaces=False,
    )
