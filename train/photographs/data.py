"""Photographs with captions, boxes and questions from parquet files, and the ways in which training varies them."""

import io
import random
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow.parquet as parquet
from PIL import Image

SIDE = 300  # pixels of a training image
CROPS = 4  # variants that are cropped, beside the whole image and its mirror image
MIN_KEPT = 0.4  # share of a box that must lie within a crop for the box to count
SIDES = re.compile(r"\b(left|right)(s|most|ward|wards|side|hand|handed)?\b", re.IGNORECASE)
SWAPPED = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "LEFT": "RIGHT", "RIGHT": "LEFT"}
FRAMING = re.compile(
    r"^(this is |there is |here is )?(an?|the|this|one)?\s*(close[- ]?up |black and white |color |old |blurry )*"
    r"(image|picture|photo|photograph|view|shot|close[- ]?up)( is| shows| showing| depicts)? "
    r"(of|that|with|showing)?\s*",
    re.IGNORECASE,
)
SMALL_WORDS = set("a an the two three four five several some many people there this".split())
Box = tuple[float, float, float, float]  # left, top, width, height as shares of the image


@dataclass(frozen=True)
class Question:
    question: str
    answer: str
    kind: str
    choices: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Photo:
    """One photograph and what is known of it; `boxed` is "all", "some" or "none" (of the objects are in `objects`).

    `whole`: nothing that was known has been cut away.
    """

    image_id: str
    blob: bytes = field(repr=False)
    source: str
    captions: tuple[str, ...]
    objects: tuple[tuple[str, Box], ...]
    boxed: str
    questions: tuple[Question, ...]
    whole: bool = True

    def open(self) -> Image.Image:
        return Image.open(io.BytesIO(self.blob)).convert("RGB")


def read(folder: Path, split: str) -> list[Photo]:
    """All photographs of a split, from `folder/SPLIT-*.parquet`."""
    paths = sorted(folder.glob(f"{split}*.parquet"))
    if not paths:
        raise SystemExit(f"There are no files {folder}/{split}*.parquet.")
    return [_photo(row) for path in paths for row in parquet.read_table(path).to_pylist()]


def _photo(row: dict) -> Photo:
    boxes = zip(row["objects"]["category"], row["objects"]["bbox"], strict=True)
    questions = [
        Question(
            tidy_question(item["question"]),
            tidy_answer(_commonest(item["answers"])),
            item["kind"],
            tuple(tidy_answer(choice) for choice in item["choices"]),
            tuple(item["answers"]),
        )
        for item in row["questions"]
        if item["answers"]
    ]
    return Photo(
        row["image_id"],
        row["image"]["bytes"],
        row["source"],
        tuple(dict.fromkeys(tidy_caption(text) for text in row["captions"] if 3 < len(text.split()) < 30)),
        tuple((label, tuple(box)) for label, box in boxes),
        row["boxed"],
        tuple(questions),
    )


def _commonest(answers: list[str]) -> str:
    return max(answers, key=answers.count)


def tidy_caption(text: str) -> str:
    """A sentence: one space between words, a capital, a full stop."""
    text = " ".join(text.split()).strip(" .,;:-").replace(" ,", ",").replace(" 's", "'s").replace(" .", ".")
    return f"{text[:1].upper()}{text[1:]}."


def bare_caption(text: str) -> str:
    """A caption as part of another sentence: no full stop, and a small letter where it begins with a small word."""
    text = text.removesuffix(".")
    first = text.split(" ", 1)[0].lower()
    small = first in (
        "a",
        "an",
        "the",
        "two",
        "three",
        "four",
        "five",
        "several",
        "some",
        "many",
        "people",
        "there",
        "this",
    )
    return text[:1].lower() + text[1:] if small else text


def alt_text(captions: tuple[str, ...]) -> str | None:
    """The caption that serves best as an alternative text: at most 125 characters, without "a picture of"."""
    texts = [FRAMING.sub("", text) for text in captions]
    texts = [f"{text[:1].upper()}{text[1:]}" for text in texts if 20 <= len(text) <= 125]
    return sorted(texts, key=len)[len(texts) // 2] if texts else None


def tidy_question(text: str) -> str:
    """One space between words, none before the question mark, a capital."""
    text = " ".join(text.replace(" 's", "'s").split())
    text = re.sub(r"\s*[,.]?\s*\?$", "?", text)
    return f"{text[:1].upper()}{text[1:]}"


def tidy_answer(text: str) -> str:
    """Small letters, no full stop."""
    return " ".join(text.split()).rstrip(".").lower()


@dataclass(frozen=True)
class Variant:
    """One way in which an image is shown: a part of it (left, top, width, height as shares), perhaps mirrored."""

    crop: Box = (0.0, 0.0, 1.0, 1.0)
    mirrored: bool = False

    def image(self, image: Image.Image) -> Image.Image:
        """`SIDE` pixels square."""
        left, top, width, height = self.crop
        box = (left * image.width, top * image.height, (left + width) * image.width, (top + height) * image.height)
        image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.mirrored else image

    def photo(self, photo: Photo) -> Photo:
        """What is true of the image as it is shown: boxes move, left and right change places."""
        objects = [(label, moved) for label, box in photo.objects if (moved := self._move(box)) is not None]
        whole = self.crop == (0.0, 0.0, 1.0, 1.0)
        if not self.mirrored:
            return replace(photo, objects=tuple(objects), whole=whole)
        questions = [
            replace(qa, question=mirror(qa.question), answer=mirror(qa.answer), choices=tuple(map(mirror, qa.choices)))
            for qa in photo.questions
        ]
        captions = tuple(map(mirror, photo.captions))
        return replace(photo, captions=captions, objects=tuple(objects), questions=tuple(questions), whole=whole)

    def _move(self, box: Box) -> Box | None:
        left, top, width, height = self.crop
        x, y, w, h = (box[0] - left) / width, (box[1] - top) / height, box[2] / width, box[3] / height
        x0, y0, x1, y1 = max(x, 0.0), max(y, 0.0), min(x + w, 1.0), min(y + h, 1.0)
        if x1 <= x0 or y1 <= y0 or (x1 - x0) * (y1 - y0) < MIN_KEPT * w * h:
            return None
        return (1 - x1 if self.mirrored else x0, y0, x1 - x0, y1 - y0)


def mirror(text: str) -> str:
    """A text with left and right exchanged."""
    return SIDES.sub(lambda match: SWAPPED.get(match[1], match[1]) + (match[2] or ""), text)


def variants(image_id: str, count: int = 2 + CROPS) -> list[Variant]:
    """How an image is shown in training: whole, mirrored, then crops, every second one mirrored; always the same."""
    rng = random.Random(f"variants {image_id}")
    shown = [Variant(), Variant(mirrored=True)]
    for number in range(CROPS):
        width, height = rng.uniform(0.72, 0.96), rng.uniform(0.72, 0.96)
        crop = (rng.uniform(0, 1 - width), rng.uniform(0, 1 - height), width, height)
        shown.append(Variant(crop, number % 2 == 1))
    return shown[:count]


def mosaic(photos: list[Photo], number: int) -> tuple[Image.Image, Photo]:
    """Four photographs, whose objects are all known, as one (Bochkovskiy et al. 2020): many small objects."""
    rng = random.Random(f"mosaic {number}")
    chosen = rng.sample(photos, 4)
    canvas = Image.new("RGB", (SIDE, SIDE))
    cut = (round(SIDE * rng.uniform(0.4, 0.6)), round(SIDE * rng.uniform(0.4, 0.6)))
    objects = []
    for place, photo in enumerate(chosen):
        x0, x1 = ((0, cut[0]), (cut[0], SIDE))[place % 2]
        y0, y1 = ((0, cut[1]), (cut[1], SIDE))[place // 2]
        canvas.paste(photo.open().resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR), (x0, y0))
        wide, high = (x1 - x0) / SIDE, (y1 - y0) / SIDE
        objects += [
            (label, (x0 / SIDE + x * wide, y0 / SIDE + y * high, w * wide, h * high))
            for label, (x, y, w, h) in photo.objects
            if w * h * wide * high > 0.0008  # smaller ones cannot be seen any more
        ]
    return canvas, Photo(f"mosaic-{number}", b"", "mosaic", (), tuple(objects), "all", ())
