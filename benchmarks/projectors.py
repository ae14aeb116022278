"""Projectors side by side on icon scenes: python -m benchmarks.projectors [--quick] [--steps N] [--json FILE]

Each kind starts from scratch between the bundled model's frozen vision encoder and a copy of its language model, and
both learn from the same images, steps and answers. Quality is measured as `benchmarks.quality` does, on unseen scenes
through the app's engine. Times alternate between the kinds and are medians: a training step, and the first token for a
new image. A stopped run resumes where it was (runs/projectors).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from benchmarks.measure import alternate, report, timed
from train import loop
from train.evaluation.scenes import measure_questions, measure_scenes
from train.icons import features, rendering
from train.icons.packing import Steps
from vlm_demo import scenes
from vlm_demo.engine import ICONS, Engine
from vlm_demo.model import MiniVLMConfig, MiniVLMForConditionalGeneration, MiniVLMProcessor

FOLDER = Path("runs/projectors")
ROWS = 16  # images in one step, each with a caption, detections and many questions
LR = 1e-3


@dataclass(frozen=True)
class Choice:
    """A projector by its config."""

    name: str
    projector: str
    tokens: int  # tokens per image
    pixel_shuffle: int = 1


def choices(patches: int, queries: int) -> list[Choice]:
    """All kinds for a grid of so many patch features."""
    return [
        Choice("linear", "linear", patches),
        Choice("mlp", "mlp", patches),
        Choice("mlp, pixel shuffle", "mlp", patches // 4, 2),
        Choice("qformer", "qformer", queries),
        Choice("resampler", "resampler", queries),
    ]


class Scenes(Steps):
    """Single scenes only; item `step` depends on nothing but the step."""

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        rng = random.Random(f"step {step}")
        return self.batch([self.row("scenes", rng) for _ in range(ROWS)])


class Contender:
    """One projector with its model, processor and batches."""

    def __init__(self, choice: Choice, bundled: MiniVLMForConditionalGeneration, maps: dict[str, list]) -> None:
        self.choice = choice
        base = MiniVLMProcessor.from_pretrained(ICONS)
        self.processor = MiniVLMProcessor(base.image_processor, base.tokenizer, choice.tokens, base.task_tags)
        torch.manual_seed(0)
        self.model = MiniVLMForConditionalGeneration(
            MiniVLMConfig(
                vision_config=bundled.config.vision_config,
                text_config=bundled.config.text_config,
                image_token_id=bundled.config.image_token_id,
                image_seq_length=choice.tokens,
                vision_seq_length=bundled.config.vision_seq_length,
                projector=choice.projector,
                pixel_shuffle=choice.pixel_shuffle,
                image_positions=True,
            )
        )
        for part in ("vision_tower", "language_model"):
            getattr(self.model.model, part).load_state_dict(getattr(bundled.model, part).state_dict())
        self.model.model.vision_tower.requires_grad_(False).eval()
        self.model.model.language_model.set_attn_implementation("eager")  # takes the block mask, fast on CPUs
        self.batches = Scenes(self.processor, maps)

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Token losses, averaged within an answer and then over answers by the weight of their task."""
        names = ("input_ids", "image_features", "attention_mask", "position_ids")
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(**{name: batch[name] for name in names}, use_cache=False).logits  # [B, T, V]
        answered = batch["labels"][:, 1:] != -100
        losses = F.cross_entropy(logits[:, :-1][answered].float(), batch["labels"][:, 1:][answered], reduction="none")
        weights = batch["weights"][:, 1:][answered]
        return (losses * weights).sum() / weights.sum()

    def train(self, steps: int) -> float:
        """Train projector and language model; the mean loss of the last fifty steps, NaN where there were fewer."""
        folder = FOLDER / f"{self.choice.name.replace(', ', '-').replace(' ', '-')}-{self.choice.tokens}-{steps}"
        batches = None

        def step_losses(step: int) -> loop.Losses:
            nonlocal batches
            if batches is None:  # prepared by another process while this one computes
                batches = iter(DataLoader(self.batches, batch_size=None, sampler=range(step, steps), num_workers=1))
            return {"loss": self.loss(next(batches))}

        trained = {"projector": self.model.model.projector, "language_model": self.model.model.language_model}
        loop.run(folder, trained, step_losses, steps=steps, lr=LR, save_every=100)
        self.model.eval().save_pretrained(folder / "model")
        self.processor.save_pretrained(folder / "model")
        self.folder = folder / "model"
        history = json.loads((folder / "log.json").read_text())
        return history[-1]["loss"] if history else float("nan")

    def quality(self, count: int) -> dict[str, float]:
        """Answers about `count` unseen scenes."""
        engine = Engine(self.folder)
        unseen = [scenes.make_scene(seed) for seed in range(count)]
        figures = measure_scenes(engine, unseen, self.choice.name)
        vqa, _, _ = measure_questions(engine, unseen)
        engine.close()
        names = {"detection_f1": "detection F1", "caption_objects": "caption objects", "caption_setting": "setting"}
        return {title: figures[key] for key, title in names.items()} | {"VQA": vqa}

    def time_step(self, batch: dict[str, torch.Tensor]) -> float:
        """Seconds of one training step without the optimizer's."""
        seconds = timed(lambda: self.loss(batch).backward())
        self.model.zero_grad()
        return seconds

    @torch.inference_mode()
    def time_first(self, pixels: torch.Tensor) -> float:
        """Seconds from an image's pixels to the first token of an answer."""
        ids = torch.tensor([self.processor.encode_chat([{"role": "user", "task": "caption", "text": ""}], 1)])
        return timed(lambda: self.model(ids, pixel_values=pixels, logits_to_keep=1))


def measure(contenders: list[Contender], steps: int, count: int, rounds: int) -> list[dict[str, Any]]:
    """A row of figures for each contender."""
    rows = []
    for contender in contenders:
        last = contender.train(steps)
        parameters = sum(p.numel() for p in contender.model.model.projector.parameters())
        head = {"projector": contender.choice.name, "parameters": f"{parameters:,}"}
        rows.append(head | {"image tokens": contender.choice.tokens, "loss": last} | contender.quality(count))
    batches = {c.choice.name: c.batches[0] for c in contenders}
    pixels = torch.rand(1, 3, rendering.SIZE, rendering.SIZE)
    training = alternate({c.choice.name: lambda c=c: c.time_step(batches[c.choice.name]) for c in contenders}, rounds)
    first = alternate({c.choice.name: lambda c=c: c.time_first(pixels) for c in contenders}, 5 * rounds)
    for row in rows:
        row["training images/s"] = ROWS / statistics.median(training[row["projector"]])
        row["first token, ms"] = 1000 * statistics.median(first[row["projector"]])
    return rows


def main() -> None:
    """Draw what is missing, train, measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600, help="training steps for each projector")
    parser.add_argument("--queries", type=int, default=16, help="image tokens of qformer and resampler")
    parser.add_argument("--drawn", type=int, default=8000, help="training scenes")
    parser.add_argument("--scenes", type=int, default=200, help="unseen scenes for quality")
    parser.add_argument("--rounds", type=int, default=5, help="runs for the times")
    parser.add_argument("--quick", action="store_true", help="only to see that it works")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.quick:
        args.steps, args.drawn, args.scenes, args.rounds = 3, 1000, 2, 1
    counts = ["--scenes", str(args.drawn), "--pairs", "0", "--stories", "0"]
    subprocess.run([sys.executable, "-m", "train.icons.rendering", *counts], check=True)
    bundled = MiniVLMForConditionalGeneration.from_pretrained(ICONS, dtype=torch.float32).eval()
    maps = {"scenes": features.compute(bundled.model.vision_tower, "scenes", args.drawn)}
    variants = choices(bundled.config.vision_seq_length, args.queries)
    rows = measure([Contender(choice, bundled, maps) for choice in variants], args.steps, args.scenes, args.rounds)
    report({f"Projectors on icon scenes, {args.steps} steps of {ROWS} images": rows}, args.json)


if __name__ == "__main__":
    main()
