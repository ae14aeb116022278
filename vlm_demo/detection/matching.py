"""Which boxes are right: each is matched with a true one of its label that it overlaps enough."""

from collections.abc import Mapping, Sequence
from typing import Any

SAME_OBJECT = 0.5  # IoU from which a box has found an object

Box = Sequence[float]  # [x, y, w, h]


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(wide, 0.0) * max(high, 0.0)
    return both / max(one[2] * one[3] + other[2] * other[3] - both, 1e-9)


def match(predicted: Sequence[Mapping[str, Any]], references: Sequence[tuple[str, Box]]) -> list[int | None]:
    """For each of `Parsed.objects` the number of the reference, a label and its box, that it found; None where it found
    none.

    The most certain chooses first, and nothing is found twice; those without a confidence choose in their order, after
    the others.
    """
    free = set(range(len(references)))
    matched: list[int | None] = [None] * len(predicted)
    for k in sorted(range(len(predicted)), key=lambda k: -(predicted[k]["confidence"] or 0.0)):
        item = predicted[k]
        overlaps = [(iou(item["bbox"], references[n][1]), n) for n in free if references[n][0] == item["label"]]
        best, n = max(overlaps, default=(0.0, -1))
        if best >= SAME_OBJECT:
            matched[k] = n
            free.remove(n)
    return matched
