"""Training batches of photographs: everything that is asked about an image, packed behind the image's tokens.

All turns about an image share one row: a block mask lets each see the image and itself only, so one pass through the
language model teaches what a dozen separate rows would.
"""

import random
from functools import lru_cache

import torch
from torch.utils.data import Dataset

from train.blocks import Columns, Row, padded
from train.photographs import asking, several
from train.photographs.conversations import Conversation, Seen
from train.photographs.data import Photo, Variant, variants
from vlm_demo.model import MiniVLMProcessor

# Weight of one answer in the loss, by kind.
WEIGHTS = {
    "caption": 3.0,
    "style": 2.0,
    "detect": 8.0,
    "taught": 3.0,
    "named": 2.0,
    "asked": 1.0,
    "vqa": 1.0,
    "present": 0.7,
    "grounded": 1.0,
    "everyday": 1.0,
    "box": 0.7,
    "which": 1.2,
    "across": 1.5,
}
KINDS = tuple(WEIGHTS)
WORD_DROPOUT = 0.1  # share of a caption's words that the model does not get to read: it must look for the next one
OTHERS = 24  # photographs from which false captions and questions are taken
SEVERAL = 0.2  # share of rows with two to four images
CAPTIONS = 3  # brief captions of one image in one row
DETECTIONS = 1.0  # share of rows of one image with boxes, which are long
PAD_TO = 64  # positions: few different shapes
MAX_LENGTH = 896  # positions of a row; conversations that do not fit are left out

Shown = tuple[int, int]  # number of a photograph, number of its variant


class Steps(Dataset):
    """Batches by number: item `step` depends on nothing but the step, so a stopped run can resume exactly."""

    def __init__(
        self,
        processor: MiniVLMProcessor,
        photos: list[Photo],
        regions: dict[Shown, tuple],
        rows: int,
        several: float = SEVERAL,
        captions: int = CAPTIONS,
        detections: float = DETECTIONS,
        parts: int = 1,
        seed: str = "train",
    ) -> None:
        """`regions` of each photograph and variant that may be shown, as in `conversations.Seen`; `rows` of a batch,
        the share of them with `several` images, brief `captions` of one image, the share of rows with boxes. A batch
        comes in `parts`, rows of like length together."""
        self.processor, self.photos, self.regions = processor, photos, regions
        self.rows, self.several, self.captions, self.detections = rows, several, captions, detections
        self.parts, self.seed = parts, seed
        self.shown = sorted({number for number, _ in regions})
        self.variants: dict[int, list[Variant]] = {}
        for number, variant in regions:
            self.variants.setdefault(number, []).append(variant)

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, step: int) -> list[dict[str, torch.Tensor | list[Shown]]]:
        """The parts of a batch, see `batch`; photographs come in an order that is shuffled anew each time all have been
        shown."""
        rng = random.Random(f"{self.seed} {step}")
        count, rows = len(self.shown), []
        for row in range(self.rows):
            number = step * self.rows + row
            order = shuffled(count, f"{self.seed} {number // count}")
            rows.append(self.row(self.shown[order[number % count]], rng))
        packed = [(self.pack(conversations, len(shown), rng), shown) for conversations, shown in rows]
        packed.sort(key=lambda row: len(row[0][0]))
        size = -(-len(packed) // self.parts)
        return [self.batch(packed[start : start + size]) for start in range(0, len(packed), size)]

    def row(self, number: int, rng: random.Random) -> tuple[list[Conversation], list[Shown]]:
        """What is asked about one photograph, or about it and others."""
        picked = [number]
        if rng.random() < self.several and self.photos[number].source != "mosaic":
            while len(picked) < rng.randint(2, 4):
                other = rng.choice(self.shown)
                if self.photos[other].source != "mosaic" and other not in picked:
                    picked.append(other)
            rng.shuffle(picked)
        shown = [(one, rng.choice(self.variants[one])) for one in picked]
        seen = [self.seen(one) for one in shown]
        others = [self.photos[rng.choice(self.shown)] for _ in range(OTHERS)]
        others = [other for other in others if all(other is not self.photos[one] for one in picked)]
        if len(seen) > 1:
            return several.several_images(seen, others, rng), shown
        return asking.one_image(seen[0], others, self.captions, self.detections, rng), shown

    def seen(self, shown: Shown) -> Seen:
        """A photograph as one variant shows it."""
        photo = self.photos[shown[0]]
        if photo.source == "mosaic":
            return Seen(photo, self.regions[shown])
        return Seen(variants(photo.image_id)[shown[1]].photo(photo), self.regions[shown])

    def batch(self, rows: list[tuple[Columns, list[Shown]]]) -> dict[str, torch.Tensor | list[Shown]]:
        """Packed rows padded to the longest: `input_ids`, `labels`, `position_ids`, `block`, `weights`, `kinds`
        `[B, T]`, and which images they contain, one after another, as `shown`."""
        return {
            **padded([columns for columns, _ in rows], PAD_TO),
            "shown": [one for _, shown in rows for one in shown],
        }

    def pack(self, conversations: list[Conversation], n_images: int, rng: random.Random) -> Columns:
        """The images and, in any order, as many of the conversations as fit, in one row."""
        row = Row(self.processor, n_images)
        for conversation in rng.sample(conversations, len(conversations)):
            ids, labels = row.encode(conversation.turns)
            if len(row) + len(ids) > MAX_LENGTH:
                continue
            if conversation.kind in ("caption", "style", "across"):
                ids = [
                    self.processor.tokenizer.pad_token_id if label != -100 and rng.random() < WORD_DROPOUT else id
                    for id, label in zip(ids, labels, strict=True)
                ]
            weight = WEIGHTS[conversation.kind] * len(conversation.turns)
            row.add(ids, labels, weight, KINDS.index(conversation.kind))
        return row.columns


@lru_cache(maxsize=2)  # a batch may reach into the next round
def shuffled(count: int, key: str) -> list[int]:
    """The numbers below `count` in an order that depends on the key alone."""
    return random.Random(key).sample(range(count), count)
