"""Twelve photographs that come with the page, each with what it shows, its author, licence and source."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent
LICENCES = {  # where the text of each is
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC BY 2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC0": "https://creativecommons.org/publicdomain/zero/1.0/",
}


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
    def licence_url(self) -> str | None:
        """Where the licence can be read; None where it is no licence."""
        return LICENCES.get(self.licence)


@cache
def samples() -> tuple[Sample, ...]:
    """All of them, in the order in which the page shows them."""
    return tuple(Sample(**entry) for entry in json.loads((FOLDER / "credits.json").read_text(encoding="utf-8")))
