"""Twelve photographs that come with the page, each with what it shows, its author, licence and source."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """One photograph; `what` is how a person described it."""

    image: str  # name of its file
    what: str
    author: str
    licence: str
    source: str

    @property
    def path(self) -> Path:
        return FOLDER / self.image

    def open(self) -> Image.Image:
        with Image.open(self.path) as image:
            return image.convert("RGB")

    @property
    def credit(self) -> str:
        return f"Photograph: {self.author}, {self.licence}, {self.source}"


@cache
def samples() -> tuple[Sample, ...]:
    """All of them, in the order in which the page shows them."""
    return tuple(Sample(**entry) for entry in json.loads((FOLDER / "credits.json").read_text(encoding="utf-8")))
