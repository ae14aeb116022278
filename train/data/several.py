"""Tasks on several images, made from any captioned set: pairs, which of N, sequences."""

import random

from datasets import Dataset

from vlm_demo.tasks import TASKS

from .base import InvalidRow, LazyExample, Source, chat, stored_image
from .captions import captions_of

KINDS = ("pair", "which", "sequence")
PAIR_PROMPTS = ("Compare the images.", "What does each image show?", "How do the images differ?")
WHICH_PROMPTS = ("Which image shows this: {}", "Which image fits: {}", "Which one is it? {}")


class Several(Source):
    """Row `index` and others drawn at random for each epoch; the captions say what is true of each image."""

    def __init__(self, rows: Dataset, name: str, seed: int = 0) -> None:
        super().__init__(f"several of {name}")
        self.rows, self.seed = rows, seed

    def __len__(self) -> int:
        return len(self.rows)

    def lazy_example(self, index: int, epoch: int = 0) -> LazyExample:
        name = self.row_name(index)
        rng = random.Random(f"{self.seed} {epoch} {index}")
        kind = rng.choice(KINDS)
        count = min({"pair": 2, "which": rng.randint(2, 4), "sequence": 3}[kind], len(self.rows))
        if count < 2:
            raise InvalidRow(name, "there is only one image to compare")
        picks = [index]
        while len(picks) < count:
            picks += [other for other in [rng.randrange(len(self.rows))] if other not in picks]
        rng.shuffle(picks)
        rows = {self.row_name(pick): self.rows[pick] for pick in picks}
        images = tuple(stored_image(row.get("image"), of) for of, row in rows.items())
        captions = [rng.choice(captions_of(row, of)) for of, row in rows.items()]
        if len(set(captions)) < count or len({image.key for image in images}) < count:
            raise InvalidRow(name, "two of the images drawn are the same")
        question, answer = _question_and_answer(kind, captions, rng)
        return LazyExample("compare", images, chat("compare", question, answer), {"answer": answer}, name)


def _question_and_answer(kind: str, captions: list[str], rng: random.Random) -> tuple[str, str]:
    """Question and answer about images with these captions."""
    plain = [caption.rstrip(" .") for caption in captions]
    if kind == "which":
        right = rng.randrange(len(captions))
        return rng.choice(WHICH_PROMPTS).format(f"{plain[right]}."), f"Image {right + 1}."
    if kind == "pair":
        return rng.choice(PAIR_PROMPTS), " ".join(f"Image {k}: {words}." for k, words in enumerate(plain, 1))
    words = ["First", *["Then"] * (len(plain) - 2), "At last"]
    return TASKS["compare"].prompts["story"], " ".join(f"{w}: {c}." for w, c in zip(words, plain, strict=True))
