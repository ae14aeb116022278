"""The bundled model's tokenizer: byte-level BPE in which a word, a coordinate, a piece of JSON is one token each."""

import random
from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from train import drawings
from vlm_demo import scenes
from vlm_demo.model import special_tokens
from vlm_demo.scenes.several import selection_questions
from vlm_demo.scenes.world import GRID
from vlm_demo.tasks import TASKS

# Pieces that are never split further once they are frequent; everything else falls back to single bytes.
PIECES = Regex(
    r' ?\{"objects": \[|\{"label": "|", "bbox": \[|", "image": |, "bbox": \[|\]\}\]\}|\]\}, |\]\}'
    r"|0\.\d{3}(?:, )?| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"
)


def corpus(samples: int = 4000) -> Iterator[str]:
    """Every wording that scenes produce, and every coordinate."""
    for step in range(GRID):
        yield from [f"{step / GRID:.3f}, ", f"{step / GRID:.3f}"] * 4
    for task in TASKS.values():
        yield from (f" {prompt}" for prompt in task.prompts.values())
    for seed in range(samples):
        scene = drawings.group("scenes", seed)
        yield from (f" {scene.caption(style, seed)}" for style in TASKS["caption"].prompts)
        yield f" {scene.detections_json()}"
        for qa in [*scene.questions(), *scene.chat()]:
            yield from (f" {qa.question}", f" {qa.answer}")
        pair, story = drawings.group("pairs", seed), drawings.group("stories", seed)
        yield from (f" {pair.change_text}", f" {pair.boxes_json}", f" {story.text}")
        for qa in selection_questions((scene, *pair.scenes[:1]), random.Random(seed)):
            yield from (f" {qa.question}", f" {qa.answer}")
        yield f" Image {seed % 8 + 1}: how many {scenes.LABELS[seed % 40]} in image {seed % 8 + 1}"


def build_tokenizer(texts: Iterable[str], vocab_size: int = 4096) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer over `texts`, smaller than `vocab_size` where there is nothing left to merge."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(PIECES, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
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
