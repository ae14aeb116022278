"""Conversations about photographs: their turns, what is known of a photograph, and how answers are worded."""

import random
from collections import Counter
from dataclasses import dataclass

from train.photographs import words
from train.photographs.data import Box, Photo
from vlm_demo.detection import iou
from vlm_demo.runners.vision import STEP

MAX_BOXES = 20  # objects of one answer
SAME_BOX = 0.5  # IoU from which a proposal is an object
TEACHER = 0.4  # a region that the detector is so sure of is taken for an object where nobody has boxed any
ABSENT = 0.05  # what the detector sees less of than that, and no caption mentions, is not there

Turn = tuple[str, str, str]  # task, question, answer


@dataclass(frozen=True)
class Conversation:
    """Turns that follow the images, and the kind of loss that they count for."""

    kind: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Seen:
    """A photograph as it is shown, and what the detector proposes there: (label, score, box) of each region."""

    photo: Photo
    regions: tuple[tuple[str, float, Box], ...]

    def absent(self, label: str) -> bool:
        """Whether a class is surely not there."""
        if any(words.mentions(text, label) for text in self.photo.captions):
            return False
        if self.photo.boxed == "all":
            return all(label != one for one, _ in self.photo.objects)
        return bool(self.photo.captions) and all(label != one or score < ABSENT for one, score, _ in self.regions)

    def boxes(self) -> list[tuple[str, Box]]:
        """Every object as the model shall write it: those that the detector proposed, in its order and with its boxes,
        then the others, the largest first. Where nobody has boxed any, the proposals of which the detector is sure."""
        if self.photo.boxed != "all":
            return [(label, box) for label, score, box in self.regions if score > TEACHER]
        left, matched = list(self.photo.objects), []
        for label, _, box in self.regions:
            overlaps = [(iou(box, other), n) for n, (name, other) in enumerate(left) if name == label]
            best, n = max(overlaps, default=(0.0, -1))
            if best >= SAME_BOX:
                matched.append((label, box))
                del left[n]
        return matched + sorted(left, key=lambda item: -item[1][2] * item[1][3])


def detections_json(objects: list[tuple[str, Box]]) -> str:
    """The boxes as the model writes them."""
    items = [f'{{"label": "{label}", "bbox": {box_text(box)}}}' for label, box in objects[:MAX_BOXES]]
    return f'{{"objects": [{", ".join(items)}]}}'


def box_text(box: Box) -> str:
    return f"[{', '.join(f'{round(max(0.0, min(value, 1.0)) / STEP) * STEP:.3f}' for value in box)}]"


def place(box: Box) -> str:
    """Where a box lies, in words."""
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    if box[2] > 0.75:
        return (
            "everywhere"
            if box[3] > 0.75
            else ("at the top" if y < 0.35 else "at the bottom" if y > 0.65 else "in the middle")
        )
    across = "left" if x < 0.36 else "right" if x > 0.64 else ""
    down = "top" if y < 0.3 else "bottom" if y > 0.7 else ""
    if across and down:
        return f"at the {down} {across}"
    return f"on the {across}" if across else f"at the {down}" if down else "in the middle"


def count_words(objects: list[tuple[str, Box]]) -> str:
    """ "two people, a dog and a car": what there is, in order of size."""
    counts = Counter(label for label, _ in objects)
    parts = []
    for label, n in counts.items():
        many = words.NUMBERS[n] if n < len(words.NUMBERS) else "many"
        parts.append(words.article(label) if n == 1 else f"{many} {words.plural(label)}")
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def wording(rng: random.Random, wordings: tuple[str, ...], **parts: str) -> str:
    """One of several wordings, now and then without its mark or its capital, as people type."""
    text = rng.choice(wordings).format(**parts)
    if rng.random() < 0.1:
        text = text.rstrip("?.")
    return text.lower() if rng.random() < 0.15 else text


def known_labels(seen: Seen) -> list[str]:
    """Classes that are surely there: boxed, or seen by the detector and mentioned in a caption."""
    if seen.photo.boxed == "all":
        return sorted({label for label, _ in seen.photo.objects})
    matched = {label for label, score, _ in seen.regions if score > 0.3}
    return sorted(label for label in matched if any(words.mentions(text, label) for text in seen.photo.captions))
