"""Teaches a finished model's tokenizer more words: python -m train.icons.vocabulary [--out runs/words]

A tokenizer that was made for few wordings spells the words of others letter by letter. Byte-pair encoding goes on where
it ended, over the questions that training will ask: what it knows is cut as before, what is new becomes pieces of words
and words. A new token begins as the mean of the two that it is made of. `python -m train.icons.multitask --start
runs/words` trains on.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from train.icons import rendering
from train.icons.asking import Conversation, scene_conversations, several_conversations
from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor, special_tokens
from vlm_demo.scenes import QA

Merge = tuple[str, str]


def asked(scenes: int = 400) -> Iterator[QA]:
    """What training asks and what is answered, about the first scenes."""
    rng = random.Random("vocabulary")
    for index in range(scenes):
        scene = rendering.group("scenes", index)
        conversations: list[Conversation] = scene_conversations(scene, rng)
        conversations += several_conversations((scene, rendering.group("scenes", index + 1)), rng, which=6, about=3)
        yield from (qa for conversation in conversations for _, qa in conversation.turns)


def new_merges(tokenizer: Tokenizer, texts: Iterable[str], count: int, fewest: int = 6) -> list[Merge]:
    """The next merges of byte-pair encoding: the commonest pairs of neighbouring tokens within words."""
    words: Counter[str] = Counter()
    for text in texts:
        words.update(subword for subword, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text) if subword[-1:].isalpha())
    byte_of = tokenizer.decoder
    cut = {word: tokenizer.encode(byte_of.decode([word]), add_special_tokens=False).tokens for word in words}
    merges: list[Merge] = []
    while len(merges) < count:
        pairs: Counter[Merge] = Counter()
        for word, subwords in cut.items():
            for pair in zip(subwords, subwords[1:], strict=False):
                pairs[pair] += words[word]
        (one, other), n = max(pairs.items(), key=lambda item: item[1], default=(("", ""), 0))
        if n < fewest:
            break
        merges.append((one, other))
        cut = {word: _merged(subwords, one, other) for word, subwords in cut.items()}
    return merges


def _merged(subwords: list[str], one: str, other: str) -> list[str]:
    done: list[str] = []
    for subword in subwords:
        if done and done[-1] == one and subword == other:
            done[-1] += subword
        else:
            done.append(subword)
    return done


def extended(processor: MiniVLMProcessor, merges: list[Merge]) -> MiniVLMProcessor:
    """A processor whose tokenizer knows the merges too."""
    state = json.loads(processor.tokenizer.backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    for one, other in merges:
        vocabulary.setdefault(one + other, len(vocabulary))
        state["model"]["merges"].append([one, other])
    old = processor.tokenizer
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        pad_token=old.pad_token,
        bos_token=old.bos_token,
        eos_token=old.eos_token,
        additional_special_tokens=special_tokens(processor.task_tags),
        clean_up_tokenization_spaces=False,
    )
    return MiniVLMProcessor(processor.image_processor, tokenizer, processor.image_seq_length, processor.task_tags)


@torch.no_grad()
def grow(model: MiniVLMForConditionalGeneration, processor: MiniVLMProcessor, merges: list[Merge]) -> None:
    """Give the model an embedding for each new token of an extended processor."""
    ids = processor.tokenizer.get_vocab()
    known = len(model.get_input_embeddings().weight)
    model.resize_token_embeddings(len(ids), mean_resizing=False)
    weight = model.get_input_embeddings().weight
    for one, other in merges:
        if ids[one + other] >= known:
            weight[ids[one + other]] = (weight[ids[one]] + weight[ids[other]]) / 2


def main() -> None:
    """Write a checkpoint that knows more words."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=Path, default=Path("checkpoints/minivlm-icons"))
    parser.add_argument("--out", type=Path, default=Path("runs/words"))
    parser.add_argument("--tokens", type=int, default=800, help="new tokens at most")
    args = parser.parse_args()
    processor = MiniVLMProcessor.from_pretrained(args.start)
    model = MiniVLMForConditionalGeneration.from_pretrained(args.start)
    texts = (f" {text}" for qa in asked() for text in (qa.question, qa.answer))
    merges = new_merges(processor.tokenizer.backend_tokenizer, texts, args.tokens)
    processor = extended(processor, merges)
    grow(model, processor, merges)
    model.save_pretrained(args.out)
    processor.save_pretrained(args.out)
    print(f"{len(merges)} new tokens, {len(processor.tokenizer)} in all")


if __name__ == "__main__":
    main()
