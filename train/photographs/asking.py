"""What training asks about photographs: captions, boxes, questions about one image and about several."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from train.photographs import words
from train.photographs.data import Box, Photo, alt_text
from train.photographs.grounded import colour_questions, doing_questions
from vlm_demo.detection import iou
from vlm_demo.runners.vision import STEP
from vlm_demo.tasks import TASKS

MAX_BOXES = 20  # objects of one answer
SAME_BOX = 0.5  # IoU from which a proposal is an object
QUESTIONS = 5
TEACHER = 0.4  # a region that the detector is so sure of is taken for an object where nobody has boxed any
ABSENT = 0.05  # what the detector sees less of than that, and no caption mentions, is not there

Turn = tuple[str, str, str]  # task, question, answer


@dataclass(frozen=True)
class Branch:
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
        left, found = list(self.photo.objects), []
        for label, _, box in self.regions:
            overlaps = [(iou(box, other), n) for n, (name, other) in enumerate(left) if name == label]
            best, n = max(overlaps, default=(0.0, -1))
            if best >= SAME_BOX:
                found.append((label, box))
                del left[n]
        return found + sorted(left, key=lambda item: -item[1][2] * item[1][3])


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


# One image


def captions(photo: Photo, count: int, rng: random.Random) -> list[Branch]:
    """Brief captions, and now and then a detailed one, an alternative text, or one that is asked for in words."""
    chosen = rng.sample(photo.captions, min(count, len(photo.captions)))
    prompts, branches = TASKS["caption"].prompts, []
    for text in chosen:
        prompt = prompts["brief"] if rng.random() < 0.85 else ""
        if rng.random() < 0.2:
            branches.append(Branch("vqa", (("vqa", wording(rng, words.DESCRIBE), text),)))
        else:
            branches.append(Branch("caption", (("caption", prompt, text),)))
    short = alt_text(photo.captions)
    if short and rng.random() < 0.35:
        branches.append(Branch("style", (("caption", prompts["alt"], short),)))
    if chosen and rng.random() < 0.35:
        branches.append(Branch("style", (("caption", prompts["detailed"], detailed(photo)),)))
    return branches


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


def detection(seen: Seen, rng: random.Random) -> list[Branch]:
    """All boxes, and those of one class that is named, there or not."""
    boxes = seen.boxes()
    if not boxes and seen.photo.boxed != "all":
        return []
    true = seen.photo.boxed == "all"
    branches = [Branch("detect" if true else "taught", (("detect", "", detections_json(boxes)),))]
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
        branches.append(Branch("named", (("detect", what, detections_json(wanted)),)))
    return branches


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


def questions(seen: Seen, others: list[Photo], rng: random.Random) -> list[Branch]:
    """Questions that people asked, questions made from boxes and captions, and some that the image cannot answer."""
    photo = seen.photo
    asked = [qa for qa in photo.questions if photo.whole or not qa.question.lower().startswith("how many")]
    asked = rng.sample(asked, min(QUESTIONS, len(asked)))
    branches = [Branch("asked", (("vqa", _typed(qa.question, rng), qa.answer),)) for qa in asked]
    if len(asked) > 1 and rng.random() < 0.5:
        turns = tuple(("vqa", qa.question, qa.answer) for qa in rng.sample(asked, 2))
        branches.append(Branch("vqa", turns))
    made = [maker for maker in (present, counted, located, listed, named_box, verified, grounded) if rng.random() < 0.6]
    for maker in made:
        branches += maker(seen, others, rng)
    if rng.random() < 0.35:
        branches += unanswerable(seen, others, rng)
    return branches


def _typed(question: str, rng: random.Random) -> str:
    return question.lower().rstrip("?") if rng.random() < 0.08 else question


def known_labels(seen: Seen) -> list[str]:
    """Classes that are surely there: boxed, or seen by the detector and mentioned in a caption."""
    if seen.photo.boxed == "all":
        return sorted({label for label, _ in seen.photo.objects})
    found = {label for label, score, _ in seen.regions if score > 0.3}
    return sorted(label for label in found if any(words.mentions(text, label) for text in seen.photo.captions))


def present(seen: Seen, others: list[Photo], rng: random.Random) -> list[Branch]:
    """Is there ...? As many that are not there as are."""
    branches = []
    there = known_labels(seen)
    absent = [label for label in rng.sample(words.LABELS, 12) if seen.absent(label)]
    for label, answer in [
        *[(one, "yes") for one in rng.sample(there, min(1, len(there)))],
        *[(one, "no") for one in absent[:1]],
    ]:
        question = wording(rng, words.PRESENT, a=words.article(label), many=words.plural(label))
        turns: tuple[Turn, ...] = (("vqa", question, answer),)
        boxes = [box for one, box in seen.boxes() if one == label]
        if answer == "yes" and len(boxes) == 1 and rng.random() < 0.5:
            turns += (("vqa", rng.choice(("Where is it?", "Where?", "And where is it?")), place(boxes[0])),)
        elif answer == "yes" and seen.photo.boxed == "all" and seen.photo.whole and 1 < len(boxes) < 8:
            turns += (("vqa", rng.choice(("How many are there?", "How many?")), words.NUMBERS[len(boxes)]),)
        branches.append(Branch("present", turns))
    return branches


def counted(seen: Seen, others: list[Photo], rng: random.Random) -> list[Branch]:
    """How many ...?"""
    if seen.photo.boxed != "all":
        return []
    counts = Counter(label for label, _ in seen.photo.objects)
    usual = [label for label, n in counts.items() if n < 8]
    if not usual:
        return []
    label = max(rng.sample(usual, min(2, len(usual))), key=counts.__getitem__)
    question = wording(rng, words.COUNT, many=words.plural(label))
    return [Branch("vqa", (("vqa", question, words.NUMBERS[counts[label]]),))]


def located(seen: Seen, others: list[Photo], rng: random.Random) -> list[Branch]:
    """Where is ...? Of what is there once."""
    boxes = seen.boxes()
    counts = Counter(label for label, _ in boxes)
    single = [(label, box) for label, box in boxes if counts[label] == 1]
    if not single:
        return []
    label, box = rng.choice(single)
    return [Branch("vqa", (("vqa", wording(rng, words.WHERE, one=label), place(box)),))]


def listed(seen: Seen, others: list[Photo], rng: random.Random) -> list[Branch]:
    """What is there, counted."""
    boxes = [(label, box) for label, box in seen.boxes() if box[2] * box[3] > 0.003]
    if not boxes or rng.random() < 0.4:
        return []
    text = count_words(boxes)
    return [Branch("vqa", (("vqa", wording(rng, words.LIST), f"{text[0].upper()}{text[1:]}."),))]


def named_box(seen: Seen, others: list[Photo], rng: random.Random) -> list[Branch]:
    """What is in a box?"""
    boxes = seen.boxes()
    if not boxes:
        return []
    label, box = rng.choice(boxes[:12])
    return [Branch("box", (("vqa", wording(rng, words.AT, box=box_text(box)), words.article(label)),))]


def verified(seen: Seen, others: list[Photo], rng: random.Random) -> list[Branch]:
    """Is a caption true? One of this image, and one of another."""
    foreign = [text for other in others for text in other.captions[:1]]
    if not seen.photo.captions or not foreign:
        return []
    pairs = ((rng.choice(seen.photo.captions), "yes"), (rng.choice(foreign), "no"))
    return [
        Branch("present", (("vqa", rng.choice(words.TRUE).format(caption=text), answer),)) for text, answer in pairs
    ]


def grounded(seen: Seen, others: list[Photo], rng: random.Random) -> list[Branch]:
    """Is somebody doing something? Which colour has a thing?"""
    foreign = [text for other in others for text in other.captions]
    pairs = doing_questions(seen.photo.captions, foreign, rng) + colour_questions(seen.photo.captions, rng)
    return [Branch("grounded", (("vqa", _typed(question, rng), answer),)) for question, answer in pairs]


def unanswerable(seen: Seen, others: list[Photo], rng: random.Random) -> list[Branch]:
    """A question of another image about something that is not in this one."""
    for other in others:
        for qa in other.questions:
            if qa.question.lower().startswith(("is", "are", "does", "do", "can", "could", "was", "were")):
                continue
            about = [label for label in words.LABELS if words.mentions(qa.question, label)]
            if about and "person" not in about and all(map(seen.absent, about)):
                return [Branch("vqa", (("vqa", qa.question, words.UNKNOWN),))]
    return []


def one_image(seen: Seen, others: list[Photo], count: int, rng: random.Random) -> list[Branch]:
    """Everything that is asked about one image in one row, with so many brief captions."""
    return [*captions(seen.photo, count, rng), *detection(seen, rng), *questions(seen, others, rng)]
