"""How soon photographs are answered: python -m benchmarks.photograph_speed [--rounds 5] [--json FILE]

One brief caption of a photograph that nobody has asked about, beside transformers' own `generate()` on the shape of
SmolVLM-256M (Idefics3 with random weights), in one process and in turn: with its tiling of a 4:3 picture (13 tiles, 930
tokens) and with one tile. And a class: 32 captions of different photographs at once.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig

from vlm_demo.engine import PHOTOGRAPHS, Engine
from vlm_demo.samples import samples

TOKENS = 15  # of one caption
CLASS = 32
IMAGE_TOKEN, TILE_TOKENS = 49190, 64


def smolvlm() -> Idefics3ForConditionalGeneration:
    """The shape of SmolVLM-256M-Instruct, as its published config has it, with random weights."""
    text = LlamaConfig(
        vocab_size=49280,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
    )
    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    vision |= {"image_size": 512, "patch_size": 16}
    config = Idefics3Config(text_config=text, vision_config=vision, scale_factor=4, image_token_id=IMAGE_TOKEN)
    return Idefics3ForConditionalGeneration(config).eval()


def generate(model: Idefics3ForConditionalGeneration, tiles: int, length: int) -> None:
    """`TOKENS` tokens about one picture of so many tiles, in a prompt of `length` tokens."""
    ids = torch.cat([torch.full((1, tiles * TILE_TOKENS), IMAGE_TOKEN), torch.ones(1, length, dtype=torch.long)], 1)
    pixels = torch.randn(1, tiles, 3, 512, 512)
    with torch.inference_mode():
        model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=pixels,
            max_new_tokens=TOKENS,
            min_new_tokens=TOKENS,
            do_sample=False,
        )


def fresh(number: int) -> Image.Image:
    """A photograph that has not been seen yet: one of ours with a little noise."""
    pixels = np.asarray(samples()[number % 12].open(), np.int16)
    noise = np.random.default_rng(number).integers(-3, 4, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    engine = Engine(PHOTOGRAPHS, max_waiting=1000)
    load = seconds(engine.load)
    other = smolvlm()
    taken: dict[str, list[float]] = {"caption": [], "one tile": [], "13 tiles": [], "class": []}
    number = 0
    for _ in range(args.rounds):
        number += 1
        image = fresh(number)
        taken["caption"].append(seconds(lambda image=image: engine.caption(image)))
        taken["one tile"].append(seconds(lambda: generate(other, 1, 40)))
        taken["13 tiles"].append(seconds(lambda: generate(other, 13, 98)))
        images = [fresh(number + k) for k in range(1, CLASS + 1)]
        number += CLASS
        with ThreadPoolExecutor(CLASS) as pool:
            begin = time.perf_counter()
            written = sum(result.new_tokens for result in pool.map(lambda image: engine.caption(image), images))
            taken["class"].append(written / (time.perf_counter() - begin))
    engine.close()
    medians = {name: statistics.median(values) for name, values in taken.items()}
    figures = {
        "load_seconds": load,
        "caption_seconds": medians["caption"],
        "smolvlm_one_tile": medians["one tile"] / medians["caption"],
        "smolvlm_13_tiles": medians["13 tiles"] / medians["caption"],
        "class_tokens_a_second": medians["class"],
    }
    for name, value in figures.items():
        print(f"{name:24} {value:.2f}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
