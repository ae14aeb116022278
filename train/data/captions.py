"""Captioned images in the columns of Flickr8k: `image` and `caption_0` ... `caption_4`, or one `caption`."""

import random
from typing import Any

from datasets import Dataset

from vlm_demo.tasks import TASKS

from .base import InvalidRow, LazyExample, Source, chat, one_line, stored_image


class Captions(Source):
    """One caption of an image, drawn at random for each epoch."""

    def __init__(self, rows: Dataset, name: str, seed: int = 0) -> None:
        super().__init__(name)
        self.rows, self.seed = rows, seed

    def __len__(self) -> int:
        return len(self.rows)

    def lazy_example(self, index: int, epoch: int = 0) -> LazyExample:
        row, name = self.rows[index], self.row_name(index)
        captions = captions_of(row, name)
        caption = random.Random(f"{self.seed} {epoch} {index}").choice(captions)
        turns = chat("caption", TASKS["caption"].prompts["brief"], caption)
        return LazyExample("caption", (stored_image(row.get("image"), name),), turns, {"captions": captions}, name)


def captions_of(row: dict[str, Any], name: str) -> list[str]:
    """The captions of a row that are not empty; raises InvalidRow where there is none."""
    columns = sorted(column for column in row if column == "caption" or column.startswith("caption_"))
    cells = [cell for column in columns for cell in (row[column] if isinstance(row[column], list) else [row[column]])]
    captions = [one_line(cell) for cell in cells if one_line(cell)]
    if not captions:
        raise InvalidRow(name, "there is no caption")
    return captions
