"""Training batches on all tasks: what `asking.py` asks about each image, packed behind the image's tokens.

All turns about an image share one row: its tokens are followed by captions, detections and many questions, and a block
mask lets each see the image and itself only, so a row teaches what a dozen separate rows would.
"""

import random
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import Dataset

from train.blocks import Columns, Row, block_mask, padded
from train.features import from_array
from train.icons import rendering
from train.icons.asking import Conversation, pair_conversations, scene_conversations, several_conversations
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
PAD_TO = 32  # positions
TRIES = 3  # groups looked at to find a hard one, see `is_hard`
ROWS = {"scenes": 7, "pairs": 2, "stories": 0.3, "selections": 3}  # rows of each kind in one step, on average
# What the auxiliary head distinguishes in a second image; a move by its direction.
CHANGE_LABELS = (
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
GROUND = 6  # change labels on the empty ground of a second image, where a new setting shows


@dataclass
class Group:
    """One row: conversations, the features of its images, their scenes, and their change labels.

    `change_labels` are (number of the image from 0, cell, index in CHANGE_LABELS).
    """

    conversations: list[Conversation]
    images: list[np.ndarray]
    scenes: tuple[Scene, ...]
    change_labels: list[tuple[int, int, int]] = field(default_factory=list)


def change_labels_of(pair: Pair, rng: random.Random) -> list[tuple[int, int, int]]:
    """Labels for the auxiliary head in the second image: each object old or new, the place of one that is gone, and
    the ground."""
    what = {change: CHANGE_LABELS.index(_change_label(change)) for change in pair.changes}
    new = {change.after: what[change] for change in pair.changes if change.after}
    change_labels = [(1, cell_of(item), new.get(item, 0)) for item in pair.scenes[1].objects]
    change_labels += [
        (1, cell_of(change.before), what[change]) for change in pair.changes if change.kind in ("removed", "moved")
    ]
    free = [cell for cell in range(IMAGE_SEQ_LENGTH) if all(cell != labelled for _, labelled, _ in change_labels)]
    ground = max((what[change] for change in pair.changes if change.kind == "setting"), default=0)
    return change_labels + [(1, cell, ground) for cell in rng.sample(free, GROUND)]


def _change_label(change: Change) -> str:
    if change.kind != "moved":
        return change.kind
    return next(label for label in CHANGE_LABELS if change.text.endswith(f"{label}."))


def is_hard(described: Scene | Pair | Story) -> bool:
    """Whether a group is of the rarer and harder kind: a pair with two changes, a scene with several of one thing."""
    if isinstance(described, Pair):
        return len(described.changes) > 1
    return isinstance(described, Story) or len({item.name for item in described.objects}) < len(described.objects)


def cell_of(item: SceneObject) -> int:
    """The image token over an object's centre."""
    side = round(IMAGE_SEQ_LENGTH**0.5)
    return int(item.center[1] * side) * side + int(item.center[0] * side)


def _words() -> list[str]:
    names = [form for label in LABELS for form in (label, f" {label}", f" {plural(label)}")]
    return names + [f" {color}" for color in COLORS]


class Steps(Dataset):
    """Batches by number: item `step` depends on nothing but the step, so a stopped run can resume exactly."""

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

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, step: int) -> list[dict[str, torch.Tensor]]:
        rng = random.Random(f"step {step}")
        counts = {kind: int(count) + (rng.random() < count % 1) for kind, count in self.rows.items()}
        return [self.batch([self.row(kind, rng) for _ in range(n)]) for kind, n in counts.items() if n]

    def row(self, kind: str, rng: random.Random) -> Group:
        """One row of a kind."""
        if kind == "selections":
            picks = [rng.randrange(len(self.maps["scenes"]) * rendering.CHUNK) for _ in range(rng.randint(2, 4))]
            members = tuple(rendering.group("scenes", index) for index in picks)
            images = [self.maps["scenes"][i // rendering.CHUNK][i % rendering.CHUNK, 0] for i in picks]
            return Group(several_conversations(members, rng, which=8, about=4), images, members)
        for _ in range(TRIES):
            index = rng.randrange(len(self.maps[kind]) * rendering.CHUNK)
            described = rendering.group(kind, index)
            if is_hard(described):
                break
        images = list(self.maps[kind][index // rendering.CHUNK][index % rendering.CHUNK])
        if kind == "scenes":
            return Group(scene_conversations(described, rng), images, (described,))
        if kind == "stories":
            story = Conversation([("compare", QA(TASKS["compare"].prompts["story"], described.text, ""))], "change")
            return Group([story, *several_conversations(described.scenes, rng)], images, described.scenes)
        conversations = [*pair_conversations(described, rng), *several_conversations(described.scenes, rng)]
        return Group(conversations, images, described.scenes, change_labels_of(described, rng))

    def batch(self, rows: list[Group]) -> dict[str, torch.Tensor]:
        """Rows padded to the longest: ids, positions, block mask, labels, and each label's share of the loss."""
        packed = [self.pack(row.conversations, len(row.images)) for row in rows]
        # Few different lengths: oneDNN prepares a kernel for each new shape, which costs more than it computes.
        batch = padded(packed, PAD_TO)
        mask = block_mask(batch.pop("block"), torch.bfloat16)
        images = from_array(np.stack([p for row in rows for p in row.images]))
        return {
            **batch,
            "attention_mask": mask,  # [B, 1, T, T]
            "image_features": images,  # [images of all rows, N, C]
            **self.objects(rows),
        }

    def objects(self, rows: list[Group]) -> dict[str, torch.Tensor]:
        """Targets for single image tokens.

        For each object: image and cell of its centre `cells` [K, 2], the tokens of its label and colour `words`
        [K, 4], and the number of its image in the row `numbers` [K]. For labelled cells of second images: image,
        cell and what happened there `changes` [M, 3].
        """
        cells, words, numbers, changes = [], [], [], []
        first = 0  # image of the batch with which the row begins
        for row in rows:
            for number, scene in enumerate(row.scenes):
                cells += [(first + number, cell_of(item)) for item in scene.objects]
                words += [self.words[item.name] for item in scene.objects]
                numbers += [number] * len(scene.objects)
            changes += [(first + number, cell, label) for number, cell, label in row.change_labels]
            first += len(row.images)
        return {
            "cells": torch.tensor(cells),
            "words": torch.tensor(words),
            "numbers": torch.tensor(numbers),
            "changes": torch.tensor(changes, dtype=torch.long).reshape(-1, 3),
        }

    def pack(self, conversations: list[Conversation], n_images: int) -> Columns:
        """The images and the conversations in one row."""
        row = Row(self.processor, n_images)
        for conversation in conversations:
            ids, labels = row.encode((task, qa.question, qa.answer) for task, qa in conversation.turns)
            weight = WEIGHTS[conversation.kind] * len(conversation.turns)
            row.add(ids, labels, weight, KINDS.index(conversation.kind))
        return row.columns
