"""How soon photographs are answered: python -m benchmarks.photograph_speed [--rounds 5] [--json FILE]

One brief caption of a photograph that nobody has asked about, beside transformers' own `generate()` on the shape of
SmolVLM-256M (Idefics3 with random weights, single precision), which gets its pixels ready made: with its tiling of a
4:3 image (13 tiles, 930 tokens) and with one tile, 15 tokens each, in one process and by turns. Before it a class: 32
captions of different photographs at once, while the process holds our model alone, as the page's does. Figures are
medians, ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig

from benchmarks.measure import alternate, memory, ratio, report, timed
from vlm_demo.engine import PHOTOGRAPHS, Engine
from vlm_demo.results import Result
from vlm_demo.samples import samples

TOKENS = 15  # of one caption
CLASS = 32
IMAGE_TOKEN, TILE_TOKENS = 49190, 64
OURS = "a brief caption, ours"


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


def generate(model: Idefics3ForConditionalGeneration, tiles: int, length: int) -> float:
    """`TOKENS` tokens about one image of so many tiles, with `length` tokens of text in the prompt. Seconds."""
    ids = torch.cat([torch.full((1, tiles * TILE_TOKENS), IMAGE_TOKEN), torch.ones(1, length, dtype=torch.long)], 1)
    pixels = torch.randn(1, tiles, 3, 512, 512)

    def write() -> None:
        model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=pixels,
            max_new_tokens=TOKENS,
            min_new_tokens=TOKENS,
            do_sample=False,
        )

    with torch.inference_mode():
        return timed(write)


class Ours:
    """The engine on photographs that have not been seen yet."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.number = engine, 0
        self.last: list[Result] = []  # what was written last

    def caption(self) -> float:
        """Seconds of one brief caption."""
        image = self._fresh()
        return timed(lambda: self._keep([self.engine.caption(image)]))

    def crowd(self) -> float:
        """Seconds a token of many captions at once."""
        images = [self._fresh() for _ in range(CLASS)]
        with ThreadPoolExecutor(CLASS) as pool:
            seconds = timed(lambda: self._keep(list(pool.map(self.engine.caption, images))))
        return seconds / sum(result.new_tokens for result in self.last)

    def _keep(self, results: list[Result]) -> None:
        self.last = results

    def _fresh(self) -> Image.Image:
        """One of our photographs with a little noise."""
        self.number += 1
        pixels = np.asarray(samples()[self.number % 12].open(), np.int16)
        noise = np.random.default_rng(self.number).integers(-3, 4, pixels.shape)
        return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    engine = Engine(PHOTOGRAPHS, max_waiting=1000)
    loading = timed(engine.load)
    taken = memory()
    ours = Ours(engine)
    crowd = alternate({"class": ours.crowd}, args.rounds)["class"]
    other = smolvlm()
    seconds = alternate(
        {
            OURS: ours.caption,
            "SmolVLM-256M's shape, one tile": lambda: generate(other, 1, 40),
            "SmolVLM-256M's shape, 13 tiles": lambda: generate(other, 13, 98),
        },
        args.rounds,
    )
    rows: list[dict[str, Any]] = [
        {"way": name, "seconds": statistics.median(values), "ours is sooner, times": ratio(values, seconds[OURS])}
        for name, values in seconds.items()
    ]
    engine.close()
    report(
        {
            "one caption of a new photograph": rows,
            "a class": [{"captions at once": CLASS, "tokens/s": 1 / statistics.median(crowd)}],
            "loading": [{"seconds, torch imported": loading, "resident MB": taken / 1e6}],
        },
        args.json,
    )


if __name__ == "__main__":
    main()
