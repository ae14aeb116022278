"""Captioned pictures in the columns of Flickr8k: `image` and `caption_0` ... `caption_4`, or one `caption`."""

import random
from typing import Any

from datasets import Dataset

from vlm_demo.tasks import TASKS

from .base import BadRow, Draft, Source, chat, stored_picture, told


class Captions(Source):
    """One caption of a picture, drawn at random for each epoch."""

    def __init__(self, rows: Dataset, name: str, seed: int = 0) -> None:
        super().__init__(name)
        self.rows, self.seed = rows, seed

    def __len__(self) -> int:
        return len(self.rows)

    def draft(self, index: int, epoch: int = 0) -> Draft:
        row, name = self.rows[index], self.row_name(index)
        captions = captions_of(row, name)
        caption = random.Random(f"{self.seed} {epoch} {index}").choice(captions)
        turns = chat("caption", TASKS["caption"].prompts["brief"], caption)
        return Draft("caption", (stored_picture(row.get("image"), name),), turns, {"captions": captions}, name)


def captions_of(row: dict[str, Any], name: str) -> list[str]:
    """The captions of a row that are not empty; raises BadRow where there is none."""
    columns = sorted(column for column in row if column == "caption" or column.startswith("caption_"))
    cells = [cell for column in columns for cell in (row[column] if isinstance(row[column], list) else [row[column]])]
    captions = [told(cell) for cell in cells if told(cell)]
    if not captions:
        raise BadRow(name, "there is no caption")
    return captions
