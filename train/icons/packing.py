"""Training batches on all tasks: what `asking.py` asks about each picture, packed behind the picture's tokens.

All turns about a picture share one row: behind its tokens stand captions, detections and many questions, and a block
mask lets each see the picture and itself only, so a row teaches what a dozen separate rows would.
"""

import random
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import Dataset

from train.blocks import block_mask
from train.icons import drawings
from train.icons.asking import Branch, pair_branches, scene_branches, several_branches
from vlm_demo.model import MiniVLMProcessor
from vlm_demo.scenes import COLORS, LABELS, QA, Change, Pair, Scene, SceneObject, Story
from vlm_demo.scenes.language import plural
from vlm_demo.tasks import TASKS

IMAGE_SEQ_LENGTH = 64
# Weight of one answer in the loss.
WEIGHTS = {
    "caption": 6.0,
    "detect": 8.0,
    "named": 2.0,
    "box": 1.0,
    "everyday": 1.0,
    "vqa": 1.0,
    "relation": 1.0,
    "change": 6.0,
    "boxes": 4.0,
    "changes": 1.0,
    "which": 1.0,
}
KINDS = tuple(WEIGHTS)
TRIES = 3  # groups looked at to find a hard one, see `is_hard`
ROWS = {"scenes": 7, "pairs": 1, "stories": 0.3, "selections": 3}  # rows of each kind in one step, on average
# What a probe tells apart in a second picture; a move by its direction.
MARKS = (
    "nothing",
    "added",
    "removed",
    "recoloured",
    "replaced",
    "setting",
    "to the right",
    "to the left",
    "up",
    "down",
)
GROUND = 6  # marks on the empty ground of a second picture, where a new setting shows


@dataclass
class Group:
    """One row: branches, the features of its pictures, their scenes, and what a probe should see in them.

    `marks` are (number of the picture from 0, cell, index in MARKS of what happened there).
    """

    branches: list[Branch]
    pictures: list[np.ndarray]
    scenes: tuple[Scene, ...]
    marks: list[tuple[int, int, int]] = field(default_factory=list)


def marks_of(pair: Pair, rng: random.Random) -> list[tuple[int, int, int]]:
    """What a probe should see in the second picture: each object old or new, the place of one that is gone, and the
    ground."""
    what = {change: MARKS.index(_mark(change)) for change in pair.changes}
    new = {change.after: what[change] for change in pair.changes if change.after}
    marks = [(1, cell_of(item), new.get(item, 0)) for item in pair.scenes[1].objects]
    marks += [
        (1, cell_of(change.before), what[change]) for change in pair.changes if change.kind in ("removed", "moved")
    ]
    free = [cell for cell in range(IMAGE_SEQ_LENGTH) if all(cell != marked for _, marked, _ in marks)]
    ground = max((what[change] for change in pair.changes if change.kind == "setting"), default=0)
    return marks + [(1, cell, ground) for cell in rng.sample(free, GROUND)]


def _mark(change: Change) -> str:
    if change.kind != "moved":
        return change.kind
    return next(mark for mark in MARKS if change.text.endswith(f"{mark}."))


def is_hard(made: Scene | Pair | Story) -> bool:
    """Whether a group is of the rarer and harder kind: a pair with two changes, a scene with several of one thing."""
    if isinstance(made, Pair):
        return len(made.changes) > 1
    return isinstance(made, Story) or len({item.name for item in made.objects}) < len(made.objects)


def cell_of(item: SceneObject) -> int:
    """The picture token over an object's centre."""
    side = round(IMAGE_SEQ_LENGTH**0.5)
    return int(item.center[1] * side) * side + int(item.center[0] * side)


def _words() -> list[str]:
    names = [form for label in LABELS for form in (label, f" {label}", f" {plural(label)}")]
    return names + [f" {color}" for color in COLORS]


class Steps(Dataset):
    """Batches by number: item `step` depends on nothing but the step, so a stopped run can go on exactly."""

    def __init__(self, processor: MiniVLMProcessor, maps: dict[str, list[np.ndarray]]) -> None:
        self.processor, self.maps = processor, maps
        self.rows = {
            kind: count for kind, count in ROWS.items() if maps.get("scenes" if kind == "selections" else kind)
        }
        first = {word: processor.encode_text(word)[0] for word in _words()}  # words are one token each
        self.words = {
            f"{color} {label}": [first[f" {label}"], first[f" {plural(label)}"], first[label], first[f" {color}"]]
            for color in COLORS
            for label in LABELS
        }
        self.user, self.assistant = (
            processor.tokenizer.convert_tokens_to_ids(t) for t in ("<|user|>", "<|assistant|>")
        )

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, step: int) -> list[dict[str, torch.Tensor]]:
        rng = random.Random(f"step {step}")
        counts = {kind: int(count) + (rng.random() < count % 1) for kind, count in self.rows.items()}
        return [self.batch([self.row(kind, rng) for _ in range(n)]) for kind, n in counts.items() if n]

    def row(self, kind: str, rng: random.Random) -> Group:
        """One row of a kind."""
        if kind == "selections":
            picks = [rng.randrange(len(self.maps["scenes"]) * drawings.CHUNK) for _ in range(rng.randint(2, 4))]
            members = tuple(drawings.group("scenes", index) for index in picks)
            pictures = [self.maps["scenes"][i // drawings.CHUNK][i % drawings.CHUNK, 0] for i in picks]
            return Group(several_branches(members, rng, which=8, about=4), pictures, members)
        for _ in range(TRIES):
            index = rng.randrange(len(self.maps[kind]) * drawings.CHUNK)
            made = drawings.group(kind, index)
            if is_hard(made):
                break
        pictures = list(self.maps[kind][index // drawings.CHUNK][index % drawings.CHUNK])
        if kind == "scenes":
            return Group(scene_branches(made, rng), pictures, (made,))
        if kind == "stories":
            told = Branch([("compare", QA(TASKS["compare"].prompts["story"], made.text, ""))], "change")
            return Group([told, *several_branches(made.scenes, rng)], pictures, made.scenes)
        branches = [*pair_branches(made, rng), *several_branches(made.scenes, rng)]
        return Group(branches, pictures, made.scenes, marks_of(made, rng))

    def batch(self, rows: list[Group]) -> dict[str, torch.Tensor]:
        """Rows padded to the longest: ids, positions, block mask, labels, and each label's share of the loss."""
        packed = [self.pack(row.branches, len(row.pictures)) for row in rows]
        # Few different lengths: oneDNN prepares a kernel for each new shape, which costs more than it computes.
        length = -(-max(len(ids) for ids, *_ in packed) // 32) * 32
        size = len(packed)
        ids = torch.zeros(size, length, dtype=torch.long)
        labels = torch.full((size, length), -100)
        positions, block = torch.zeros_like(ids), torch.full((size, length), -1)
        weights, kinds = torch.zeros(size, length), torch.zeros(size, length, dtype=torch.long)
        for i, columns in enumerate(packed):
            n = len(columns[0])
            for target, column in zip((ids, labels, positions, block, weights, kinds), columns, strict=True):
                target[i, :n] = torch.tensor(column, dtype=target.dtype)
        pictures = torch.from_numpy(np.stack([p for row in rows for p in row.pictures])).view(torch.bfloat16)
        return {
            "input_ids": ids,
            "labels": labels,
            "position_ids": positions,
            "attention_mask": block_mask(block, torch.bfloat16),  # [B, 1, T, T]
            "image_features": pictures,  # [pictures of all rows, N, C]
            "weights": weights,
            "kinds": kinds,
            **self.objects(rows),
        }

    def objects(self, rows: list[Group]) -> dict[str, torch.Tensor]:
        """What training tells about single picture tokens.

        For each object: picture and cell of its centre `cells` [K, 2], the tokens of its label and colour `words`
        [K, 4], and the number of its picture in the row `numbers` [K]. For marked cells of second pictures: picture,
        cell and what happened there `changes` [M, 3].
        """
        cells, words, numbers, changes = [], [], [], []
        first = 0  # picture of the batch with which the row begins
        for row in rows:
            for number, scene in enumerate(row.scenes):
                cells += [(first + number, cell_of(item)) for item in scene.objects]
                words += [self.words[item.name] for item in scene.objects]
                numbers += [number] * len(scene.objects)
            changes += [(first + number, cell, mark) for number, cell, mark in row.marks]
            first += len(row.pictures)
        return {
            "cells": torch.tensor(cells),
            "words": torch.tensor(words),
            "numbers": torch.tensor(numbers),
            "changes": torch.tensor(changes, dtype=torch.long).reshape(-1, 3),
        }

    def pack(self, branches: list[Branch], n_images: int) -> tuple[list, ...]:
        """Prefix (block 0) and branches (blocks 1, 2, ...) in one row; a branch counts positions from the prefix on."""
        processor = self.processor
        prefix = [processor.tokenizer.bos_token_id, self.user]
        for number in range(1, n_images + 1):
            prefix += processor.encode_image(number)
        start = len(prefix)
        ids, labels, positions = list(prefix), [-100] * start, list(range(start))
        block, weights, kinds = [0] * start, [0.0] * start, [0] * start
        for number, branch in enumerate(branches, 1):
            turns = []
            for task, qa in branch.turns:
                turns += [{"role": "user", "task": task, "text": qa.question}, {"role": "assistant", "text": qa.answer}]
            # Without pictures a chat starts with <s><|user|>, which the prefix holds already.
            own, own_labels = (column[2:] for column in processor.encode_chat_with_labels(turns, 0))
            told = sum(label != -100 for label in own_labels)
            share = WEIGHTS[branch.kind] * len(branch.turns) / told
            ids += own
            labels += own_labels
            positions += range(start, start + len(own))
            block += [number] * len(own)
            weights += [share] * len(own)
            kinds += [KINDS.index(branch.kind)] * len(own)
        return ids, labels, positions, block, weights, kinds
