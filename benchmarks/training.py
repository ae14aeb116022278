"""Speed of training: python -m benchmarks.training [--quick] [--json FILE]

The plain loop of the teaching series (vision encoder in each step, rows padded to 256, batch 4, float32, AdamW, an
optimizer step each) beside `train.finetune` with cached features of the frozen vision encoder, on the same captions and
weights and by the same schedule of learning rates. Every run is a process of its own, alternating, whose peak memory is
read before the loss on unseen rows is computed, in float32 for both. Neither side writes checkpoints or opens images
inside its time.
Filling the cache is no part of our time and memory and has a table of its own. Ratios and differences are taken within
a round; figures are medians.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from transformers import get_scheduler
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from benchmarks.decode import large_model
from benchmarks.measure import memory, ratio, report, timed
from train.data import Source, open_source
from train.finetune.backbones import Pair, from_scratch, set_trainable
from train.finetune.batches import Check, Collator, TrainingSet, draw_samples
from train.finetune.trainer import SCHEDULE, SCHEDULE_KWARGS, VLMTrainer, train, warmup_steps
from train.finetune.vision_cache import VisionCache, check_only
from vlm_demo.model import MiniVLMProcessor
from vlm_demo.runners.linear import bf16_is_fast

PADDED = 256  # tokens of a row in the plain loop, and the longest row of both
PLAIN_BATCH = 4
UNSEEN = 16  # rows for the loss
SHAPES = {"tiny": "tiny", "base": "ViT-Base + SmolLM-135M"}


@dataclass(frozen=True)
class Job:
    """What both sides train: a key of `SHAPES`, captions by name, and how many samples."""

    shape: str
    data: str
    samples: int
    batch: int  # samples in one of our optimizer steps
    lr: float  # on average
    cache: Path

    def source(self) -> Source:
        """The rows to train on."""
        return open_source(self.data, "caption", samples=self.samples)

    def make(self) -> Pair:
        """The same random weights in every process, the vision encoder frozen."""
        torch.manual_seed(0)
        model, processor = from_scratch("tiny", [self.source()])
        if self.shape == "base":
            model = large_model()
            model.config.image_token_id = processor.image_token_id
            image_processor = ViTImageProcessorPil(size={"height": 224, "width": 224})
            processor = MiniVLMProcessor(image_processor, processor.tokenizer, model.config.image_seq_length)
        set_trainable(model, {"projector", "language"})
        return model, processor


def fill(job: Job) -> dict[str, float]:
    """Compute the features that `ours` trains on."""
    model, processor = job.make()
    cache = VisionCache(job.cache, model, processor, bf16=bf16_is_fast("cpu"))
    return _figures(timed(lambda: _training_set(job.source(), processor, cache.ensure)), job.samples)


def plain(job: Job) -> dict[str, float]:
    """The loop of the teaching series."""
    model, processor = job.make()
    training_set = _training_set(job.source(), processor)
    rows = [training_set[at] for at in range(len(training_set))]  # drawing and decoding are no part of our time either
    collate = Collator(processor.tokenizer.pad_token_id)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=job.lr, weight_decay=0.01)
    steps = math.ceil(len(rows) / PLAIN_BATCH)
    schedule = get_scheduler(SCHEDULE, optimizer, warmup_steps(steps), steps, scheduler_specific_kwargs=SCHEDULE_KWARGS)
    model.train()

    def loop() -> None:
        for start in range(0, len(rows), PLAIN_BATCH):
            batch = collate([rows[at] for at in range(start, min(start + PLAIN_BATCH, len(rows)))])
            del batch["tasks"]
            short = PADDED - batch["input_ids"].shape[1]
            fillers = {"input_ids": processor.tokenizer.pad_token_id, "attention_mask": 0, "labels": -100}
            for name, value in fillers.items():
                batch[name] = torch.nn.functional.pad(batch[name], (0, short), value=value)  # [B, 256]
            model(**batch, use_cache=False).loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()

    figures = _figures(timed(loop), len(rows))
    return figures | {"loss": _unseen_loss(job, model, processor)}


def ours(job: Job) -> dict[str, float]:
    """The trainer on cached features."""
    model, processor = job.make()
    with TemporaryDirectory() as folder, patch.object(VLMTrainer, "_save_checkpoint"):
        settings = {"batch": job.batch, "micro_batch": min(8, job.batch), "lr": job.lr, "limit": PADDED}
        done = train(model, processor, [job.source()], Path(folder), cache=job.cache, quiet=True, **settings)
    figures = _figures(done["seconds"], sum(done["samples"].values()))
    return figures | {"loss": _unseen_loss(job, model, processor)}


def _training_set(source: Source, processor: MiniVLMProcessor, check: Check = check_only) -> TrainingSet:
    """Every row once, as items with pixels."""
    rows = TrainingSet([source], processor, PADDED)
    rows.build_index(draw_samples([len(source)], [1.0], 1, seed=0), check, PLAIN_BATCH, seed=0)
    return rows


def _figures(seconds: float, samples: int) -> dict[str, float]:
    return {"samples/s": samples / seconds, "peak memory, MB": memory(field="VmHWM") / 1e6}


@torch.no_grad()
def _unseen_loss(job: Job, model: torch.nn.Module, processor: MiniVLMProcessor) -> float:
    """Mean over unseen rows of a row's loss by token."""
    rows = _training_set(open_source(job.data, "caption", "validation", UNSEEN), processor)
    collate = Collator(processor.tokenizer.pad_token_id)
    model.eval()
    losses = []
    for at in range(len(rows)):
        batch = collate([rows[at]])
        del batch["tasks"]
        losses.append(model(**batch, use_cache=False).loss.item())
    return statistics.mean(losses)


def measure(job: Job, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """The tables of one shape."""
    filled = _in_child(fill, job)
    runs: dict[str, list[dict[str, float]]] = {"plain loop": [], "ours": []}
    for _ in range(rounds):
        runs["plain loop"].append(_in_child(plain, job))
        runs["ours"].append(_in_child(ours, job))
    values = {way: {key: [run[key] for run in figures] for key in figures[0]} for way, figures in runs.items()}
    theirs, mine = values["plain loop"], values["ours"]
    compared = {
        "samples_per_s_ratio": ratio(mine["samples/s"], theirs["samples/s"]),
        # The reading is 0 where there is no /proc.
        "peak_memory_ratio": ratio(mine["peak memory, MB"], theirs["peak memory, MB"]) if memory() else float("nan"),
        "loss_difference": statistics.median(a - b for a, b in zip(mine["loss"], theirs["loss"], strict=True)),
    }
    ways = [{"way": way} | {key: statistics.median(of) for key, of in by_key.items()} for way, by_key in values.items()]
    name = SHAPES[job.shape]
    title = f"{name}: {job.samples} samples"
    return {title: ways, f"{name}: ours to plain": [compared], f"{name}: filling the cache": [filled]}


def _in_child(side: Callable[[Job], dict[str, float]], job: Job) -> dict[str, float]:
    """Run in a process of its own, so that its peak memory is that of one run; what all of them import is imported
    once, where the system lets a process be forked."""
    forks = "forkserver" in get_all_start_methods()
    context = get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload(["benchmarks.training"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(side, job).result()


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the tiny shape alone, one round of few samples")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--data", default="icons", help="captions: a folder, a Hub name, or icon scenes")
    parser.add_argument("--samples", type=int, default=64, help="samples of a run, a multiple of --batch")
    parser.add_argument("--batch", type=int, default=PLAIN_BATCH, help="samples in one of our optimizer steps")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    if args.quick:
        args.shapes, args.samples, args.rounds = ["tiny"], 16, 1
    if args.samples < 1 or args.batch < 1 or args.rounds < 1 or args.samples % args.batch:
        parser.error("--samples must be a multiple of --batch, and all of them and --rounds at least 1.")
    sections: dict[str, list[dict[str, Any]]] = {}
    with TemporaryDirectory() as cache:
        for shape in args.shapes:
            job = Job(shape, args.data, args.samples, args.batch, args.lr, Path(cache))
            sections |= measure(job, args.rounds)
    report(sections, args.json)


if __name__ == "__main__":
    main()
