"""What training asks about one photograph: captions, boxes, questions."""

import random
from collections.abc import Callable

from train.photographs import words
from train.photographs.conversations import Conversation, Seen, count_words, detections_json
from train.photographs.data import Box, Photo, alt_text
from train.photographs.everyday import everyday
from train.photographs.questions import questions
from vlm_demo.tasks import TASKS


def captions(photo: Photo, count: int, rng: random.Random) -> list[Conversation]:
    """Brief captions, and now and then a detailed one or an alternative text; `everyday` asks for one in words."""
    chosen = rng.sample(photo.captions, min(count, len(photo.captions)))
    prompts, conversations = TASKS["caption"].prompts, []
    for text in chosen:
        prompt = prompts["brief"] if rng.random() < 0.85 else ""
        conversations.append(Conversation("caption", (("caption", prompt, text),)))
    short = alt_text(photo.captions)
    if short and rng.random() < 0.35:
        conversations.append(Conversation("style", (("caption", prompts["alt"], short),)))
    if chosen and rng.random() < 0.35:
        conversations.append(Conversation("style", (("caption", prompts["detailed"], detailed(photo)),)))
    return conversations


def detailed(photo: Photo) -> str:
    """Sentences that add up: the longest captions that share few words, and what has been counted."""
    texts = sorted(photo.captions, key=len, reverse=True)
    sentences = [texts[0]]
    for text in texts[1:]:
        before = set(" ".join(sentences).lower().split())
        own = set(text.lower().split())
        if len(own & before) < 0.5 * len(own) and len(sentences) < 2:
            sentences.append(text)
    if photo.boxed == "all" and photo.objects:
        known = [(label, box) for label, box in photo.objects if box[2] * box[3] > 0.005]
        if known:
            several = [label for label, _ in known].count(known[0][0]) > 1
            verb = "are" if several or known[0][0] in ("skis", "scissors") else "is"
            sentences.append(f"There {verb} {count_words(known)}.")
    return " ".join(sentences)


def detection(seen: Seen, rng: random.Random) -> list[Conversation]:
    """All boxes, and those of one class that is named, there or not."""
    boxes = seen.boxes()
    if not boxes and seen.photo.boxed != "all":
        return []
    true = seen.photo.boxed == "all"
    conversations = [Conversation("detect" if true else "taught", (("detect", "", detections_json(boxes)),))]
    labels = sorted({label for label, _ in boxes})
    for _ in range(2 if true else 1):
        if labels and rng.random() < 0.75:
            label = rng.choice(labels)
        else:
            label = rng.choice(words.LABELS)
            if label not in labels and not seen.absent(label):
                continue
        wanted = [item for item in boxes if item[0] == label]
        what = rng.choice(
            (label, words.plural(label), f"the {label}", f"all {words.plural(label)}", words.article(label))
        )
        if len(wanted) > 1 and rng.random() < 0.3:
            what, wanted = _one_of(label, wanted, rng)
        conversations.append(Conversation("named", (("detect", what, detections_json(wanted)),)))
    return conversations


def _one_of(label: str, boxes: list[tuple[str, Box]], rng: random.Random) -> tuple[str, list[tuple[str, Box]]]:
    """One of several boxes of a class, by its place or size."""
    keys: dict[str, Callable[[Box], float]] = {
        f"the {label} on the left": lambda box: box[0] + box[2] / 2,
        f"the {label} on the right": lambda box: -(box[0] + box[2] / 2),
        f"the largest {label}": lambda box: -box[2] * box[3],
        f"the biggest {label}": lambda box: -box[2] * box[3],
    }
    what = rng.choice(list(keys))
    return what, [min(boxes, key=lambda item: keys[what](item[1]))]


def one_image(seen: Seen, others: list[Photo], count: int, detections: float, rng: random.Random) -> list[Conversation]:
    """Everything that is asked about one image in one row, with so many brief captions, and with boxes in a share of
    `detections` of the rows."""
    return [
        *captions(seen.photo, count, rng),
        *(detection(seen, rng) if rng.random() < detections else ()),
        *questions(seen, others, rng),
        *everyday(seen, rng),
    ]
