"""Phrases for the router: hand-written ones, and the corrections that people made in the app."""

import json
from dataclasses import dataclass
from pathlib import Path

from vlm_demo.tasks import TASKS

FOLDER = Path(__file__).parent  # of the grammar, the vocabulary and the phrases written by hand
ACCEPTED = Path("runs/corrections.accepted.jsonl")  # what `train.router.review` leaves for training


@dataclass(frozen=True)
class Phrase:
    """One request: its words, the number of images sent with it, and the tasks it asks for (none: no request)."""

    text: str
    n_images: int
    tasks: frozenset[str]


def read_phrases(path: Path) -> list[Phrase]:
    """Hand-written phrasings: a header, then lines of tasks (by commas, or "unsure"), number of images, text."""
    lines = path.read_text(encoding="utf-8").split("\n")[1:]
    rows = [line.split("\t", 2) for line in lines if line]
    return [Phrase(text, int(n), frozenset(tasks.split(",")) - {"unsure"}) for tasks, n, text in rows]


def read_corrections(path: Path) -> list[Phrase]:
    """What `vlm_demo.router.record_correction` wrote and `train.router.review` accepted; lines that cannot be read are
    named and left out."""
    phrases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], 1):
        try:
            phrases.append(parse_correction(line))
        except ValueError as error:
            print(f"{path}, line {number}: left out ({error})")
    return phrases


def parse_correction(line: str) -> Phrase:
    """One line of corrections. Raises ValueError where it is none."""
    try:
        entry = json.loads(line)
        phrase = Phrase(str(entry["text"]), int(entry["n_images"]), frozenset(entry["tasks"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is no correction: {error}") from error
    if not phrase.tasks <= set(TASKS):
        raise ValueError(f"unknown task in {entry['tasks']}")
    return phrase
