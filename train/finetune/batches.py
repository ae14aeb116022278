"""From sources to batches: which rows are seen when, what they are in tokens, and how they are padded.

The sample index is built before the first step and depends on the seed only: a run that was stopped goes through the
same batches, and several processes share them without seeing a sample twice.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from train.data import InvalidRow, LazyExample, LazyImage, Source
from vlm_demo.detection.formats import write_objects
from vlm_demo.model import MiniVLMProcessor
from vlm_demo.tasks import TASKS

TASK_NAMES = tuple(TASKS)
CHECKED_AT_ONCE = 4096  # samples whose images are in memory while they are checked
SORTED_AT_ONCE = 50  # optimizer steps among which samples of like length are put together

# Images by key -> why they cannot be used, for those that cannot.
Check = Callable[[dict[str, LazyImage]], dict[str, str]]
# Image keys -> vision features [num_images, N, C].
Features = Callable[[Sequence[str]], torch.Tensor]


@dataclass(frozen=True)
class Sample:
    """One sample of a run: a row of a source in an epoch, and its length in tokens."""

    source: int
    index: int
    epoch: int
    length: int = 0


def encode(processor: MiniVLMProcessor, example: LazyExample, limit: int) -> tuple[list[int], list[int], Counter[str]]:
    """Token ids and labels of at most `limit` tokens, and what was left out to fit.

    Turns go first, from the end of the chat; then whole objects of a detection, never half of one; other answers are
    cut. Raises InvalidRow where not even the question fits.
    """
    turns, left_out = list(example.turns), Counter()
    while True:
        try:
            ids, labels = processor.encode_chat_with_labels(turns, len(example.images))
        except ValueError as error:  # a later turn that places an image was dropped, or there are too many images
            raise InvalidRow(example.name, str(error)) from error
        if len(ids) <= limit:
            return ids, labels, left_out
        if len(turns) > 2:
            turns = turns[:-2]
            left_out["turns"] += 1
            continue
        objects = _objects(turns[-1]["text"])
        if not objects:
            break
        turns[-1] = {**turns[-1], "text": write_objects(objects[:-1])}
        left_out["objects"] += 1
    if objects is not None or all(label == -100 for label in labels[:limit]):
        raise InvalidRow(example.name, f"longer than {limit} tokens")
    return ids[:limit], labels[:limit], left_out + Counter({"ends of answers": 1})


def _objects(text: str) -> list[dict[str, Any]] | None:
    """The objects of an answer in the form of `write_objects`; None where it is another answer."""
    if not text.startswith('{"objects": ['):
        return None
    try:
        return json.loads(text)["objects"]
    except json.JSONDecodeError:
        return None


def mixture_weights(sizes: Sequence[int], weights: Sequence[float] | None, temperature: float) -> list[float]:
    """The mixture weights of the sources, which add up to 1: `weights`, or size to the power of 1 / temperature (T5,
    https://arxiv.org/abs/1910.10683, section 3.5.2): 1 is by size, a large one makes them equal."""
    raw = [size ** (1 / temperature) for size in sizes] if weights is None else list(weights)
    return [value / sum(raw) for value in raw]


def draw_samples(sizes: Sequence[int], mixture: Sequence[float], epochs: int, seed: int) -> list[Sample]:
    """`epochs` times as many samples as there are rows, drawn from the sources by `mixture`, shuffled within an epoch.

    A source goes through all of its rows before it begins again; each time counts as an epoch of its own.
    """
    taken = [0] * len(sizes)
    orders: dict[tuple[int, int], list[int]] = {}
    samples: list[Sample] = []
    for epoch in range(epochs):
        total = sum(sizes) * (epoch + 1)
        wanted = [int(weight * total + 1e-6) for weight in mixture]
        short = sorted(range(len(sizes)), key=lambda s: wanted[s] - mixture[s] * total)  # largest remainders first
        for source in short[: total - sum(wanted)]:
            wanted[source] += 1
        fresh = []
        for source, size in enumerate(sizes):
            for position in range(taken[source], wanted[source]):
                turn = position // size
                if (source, turn) not in orders:
                    order = list(range(size))
                    random.Random(f"{seed} order {source} {turn}").shuffle(order)
                    orders[source, turn] = order
                fresh.append(Sample(source, orders[source, turn][position % size], turn))
            taken[source] = max(taken[source], wanted[source])
        random.Random(f"{seed} epoch {epoch}").shuffle(fresh)
        samples += fresh
    return samples


def group_by_length(samples: list[Sample], batch: int, seed: int) -> list[Sample]:
    """Samples of like length in one optimizer step, by length within it, so that little is padded; the steps themselves
    stay shuffled. How many processes and micro-batches share a step makes no difference to it."""
    span = batch * SORTED_AT_ONCE
    grouped: list[Sample] = []
    for start in range(0, len(samples), span):
        part = sorted(samples[start : start + span], key=lambda sample: sample.length)
        steps = [part[at : at + batch] for at in range(0, len(part), batch)]
        random.Random(f"{seed} steps {start}").shuffle(steps)
        grouped += [sample for step in steps for sample in step]
    return grouped


class TrainingSet(Dataset):
    """The samples of a run in order; item i is the same in every process and after every restart."""

    def __init__(self, sources: Sequence[Source], processor: MiniVLMProcessor, limit: int) -> None:
        """`limit` is the longest sample in tokens."""
        self.sources, self.processor, self.limit = list(sources), processor, limit
        self.samples: list[Sample] = []
        self.left_out: Counter[str] = Counter()
        self.features: Features | None = None

    def build_index(self, samples: list[Sample], check: Check, batch: int, seed: int) -> None:
        """Build the index from `samples`, whole steps of `batch`, with the next row in place of an invalid one.

        `check` opens (or looks up) images and says which are broken; it may be called several times.
        """
        self.samples, self.left_out = [], Counter()
        broken: dict[str, str] = {}
        known: set[str] = set()
        bar = tqdm(total=len(samples), desc="reading rows", unit="row", leave=False, mininterval=1)
        for start in range(0, len(samples), CHECKED_AT_ONCE):
            part = samples[start : start + CHECKED_AT_ONCE]
            while True:  # the next row, taken in place of a broken one, may bring images that nobody has opened yet
                fresh: dict[str, LazyImage] = {}
                resolved = [self._resolve(sample, broken, known, fresh) for sample in part]
                if not fresh:
                    break
                broken |= check(fresh)
                known |= fresh.keys()
            self.samples += [sample for sample, _ in resolved]
            self.left_out += sum((left_out for _, left_out in resolved), Counter())
            bar.update(len(part))
        bar.close()
        self.samples = group_by_length(self.samples, batch, seed)

    def _resolve(
        self, sample: Sample, broken: dict[str, str], known: set[str], fresh: dict[str, LazyImage]
    ) -> tuple[Sample, Counter[str]]:
        """The sample, or the next that can be read, with its length; adds its unopened images to `fresh`."""
        source = self.sources[sample.source]
        for step in range(len(source)):
            index = (sample.index + step) % len(source)
            try:
                example = source.lazy_example(index, sample.epoch)
                damaged = [broken[image.key] for image in example.images if image.key in broken]
                if damaged:
                    raise InvalidRow(example.name, damaged[0])
                ids, _, left_out = encode(self.processor, example, self.limit)
            except InvalidRow as error:
                source.invalid_rows[error.name] = error.why
                continue
            fresh |= {image.key: image for image in example.images if image.key not in known}
            return Sample(sample.source, index, sample.epoch, len(ids)), left_out
        raise InvalidRow(source.name, "not one row can be read")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int) -> dict[str, Any]:
        sample = self.samples[position]
        example = self.sources[sample.source].lazy_example(sample.index, sample.epoch)
        ids, labels, _ = encode(self.processor, example, self.limit)
        item: dict[str, Any] = {"ids": ids, "labels": labels, "task": TASK_NAMES.index(example.task)}
        if self.features is not None:
            return item | {"image_features": self.features([image.key for image in example.images])}
        if example.images:
            images = list(example.opened().images)
            item["pixel_values"] = self.processor.image_processor(images, return_tensors="pt")["pixel_values"]
        return item


class Collator:
    """Items to a batch padded on the right to its longest row."""

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """input_ids, labels, attention_mask [B, T], tasks [B], and image_features [P, N, C] or pixel_values
        [P, 3, H, W] of all images, row after row."""
        size, length = len(items), max(len(item["ids"]) for item in items)
        ids = torch.full((size, length), self.pad_token_id)
        labels, mask = torch.full((size, length), -100), torch.zeros(size, length, dtype=torch.long)
        for row, item in enumerate(items):
            n = len(item["ids"])
            ids[row, :n], labels[row, :n], mask[row, :n] = torch.tensor(item["ids"]), torch.tensor(item["labels"]), 1
        batch = {"input_ids": ids, "labels": labels, "attention_mask": mask}
        batch["tasks"] = torch.tensor([item["task"] for item in items])
        for name in ("image_features", "pixel_values"):
            images = [item[name] for item in items if name in item and len(item[name])]
            if images:
                batch[name] = torch.cat(images)
        return batch
