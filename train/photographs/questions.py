"""Questions about one photograph: those that people asked, and those made from boxes and captions."""

import random
from collections import Counter
from dataclasses import replace

from train.photographs import words
from train.photographs.conversations import (
    Conversation,
    Seen,
    Turn,
    box_text,
    count_words,
    known_labels,
    place,
    wording,
)
from train.photographs.data import Photo
from train.photographs.grounded import color_questions, doing_questions

QUESTIONS = 5  # that people asked, in one row
YES_NO = "vaq2.0(yes/no)"


def balanced(photos: list[Photo]) -> list[Photo]:
    """The photographs with as many questions of VQA v2 that are answered by yes as by no in every wording.

    VQA v2 asks a question of two photographs with opposite answers (Goyal et al. 2017). Where only one of them is in
    the training split, what a model learns of the wording alone is wrong for the other.
    """
    counts: dict[str, Counter[str]] = {}
    for photo in photos:
        for qa in photo.questions:
            if qa.kind == YES_NO:
                counts.setdefault(qa.question.lower(), Counter())[qa.answer] += 1
    left = {(question, answer): min(n["yes"], n["no"]) for question, n in counts.items() for answer in ("yes", "no")}
    kept: dict[int, Photo] = {}
    for number in random.Random(0).sample(range(len(photos)), len(photos)):  # which of too many are kept is chance
        questions = []
        for qa in photos[number].questions:
            key = (qa.question.lower(), qa.answer)
            if qa.kind == YES_NO:
                left[key] = left.get(key, 0) - 1
            if qa.kind != YES_NO or left[key] >= 0:
                questions.append(qa)
        kept[number] = replace(photos[number], questions=tuple(questions))
    return [kept[number] for number in range(len(photos))]


def questions(seen: Seen, others: list[Photo], rng: random.Random) -> list[Conversation]:
    """Questions that people asked, questions made from boxes and captions, and some that the image cannot answer."""
    photo = seen.photo
    asked = [qa for qa in photo.questions if photo.whole or not qa.question.lower().startswith("how many")]
    asked = rng.sample(asked, min(QUESTIONS, len(asked)))
    conversations = [Conversation("asked", (("vqa", _typed(qa.question, rng), qa.answer),)) for qa in asked]
    if len(asked) > 1 and rng.random() < 0.5:
        turns = tuple(("vqa", qa.question, qa.answer) for qa in rng.sample(asked, 2))
        conversations.append(Conversation("vqa", turns))
    makers = [maker for maker in (present, located, listed, named_box, verified, grounded) if rng.random() < 0.6]
    for maker in makers:
        conversations += maker(seen, others, rng)
    if rng.random() < 0.35:
        conversations += unanswerable(seen, others, rng)
    return conversations


def _typed(question: str, rng: random.Random) -> str:
    return question.lower().rstrip("?") if rng.random() < 0.08 else question


def present(seen: Seen, others: list[Photo], rng: random.Random) -> list[Conversation]:
    """Is there ...? As many that are not there as are."""
    conversations = []
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
        conversations.append(Conversation("present", turns))
    return conversations


def located(seen: Seen, others: list[Photo], rng: random.Random) -> list[Conversation]:
    """Where is ...? Of what is there once."""
    boxes = seen.boxes()
    counts = Counter(label for label, _ in boxes)
    single = [(label, box) for label, box in boxes if counts[label] == 1]
    if not single:
        return []
    label, box = rng.choice(single)
    return [Conversation("vqa", (("vqa", wording(rng, words.WHERE, one=label), place(box)),))]


def listed(seen: Seen, others: list[Photo], rng: random.Random) -> list[Conversation]:
    """What is there, counted."""
    boxes = [(label, box) for label, box in seen.boxes() if box[2] * box[3] > 0.003]
    if not boxes or rng.random() < 0.4:
        return []
    text = count_words(boxes)
    return [Conversation("vqa", (("vqa", wording(rng, words.LIST), f"{text[0].upper()}{text[1:]}."),))]


def named_box(seen: Seen, others: list[Photo], rng: random.Random) -> list[Conversation]:
    """What is in a box?"""
    boxes = seen.boxes()
    if not boxes:
        return []
    label, box = rng.choice(boxes[:12])
    return [Conversation("box", (("vqa", wording(rng, words.AT, box=box_text(box)), words.article(label)),))]


def verified(seen: Seen, others: list[Photo], rng: random.Random) -> list[Conversation]:
    """Is a caption true? One of this image, and one of another."""
    foreign = [text for other in others for text in other.captions[:1]]
    if not seen.photo.captions or not foreign:
        return []
    pairs = ((rng.choice(seen.photo.captions), "yes"), (rng.choice(foreign), "no"))
    return [
        Conversation("present", (("vqa", rng.choice(words.TRUE).format(caption=text), answer),))
        for text, answer in pairs
    ]


def grounded(seen: Seen, others: list[Photo], rng: random.Random) -> list[Conversation]:
    """Is somebody doing something? Has a thing this colour?"""
    foreign = [text for other in others for text in other.captions]
    pairs = doing_questions(seen.photo.captions, foreign, rng) + color_questions(seen.photo.captions, rng)
    return [Conversation("grounded", (("vqa", _typed(question, rng), answer),)) for question, answer in pairs]


def unanswerable(seen: Seen, others: list[Photo], rng: random.Random) -> list[Conversation]:
    """A question of another image about something that is not in this one."""
    for other in others:
        for qa in other.questions:
            if qa.question.lower().startswith(("is", "are", "does", "do", "can", "could", "was", "were")):
                continue
            about = [label for label in words.LABELS if words.mentions(qa.question, label)]
            if about and "person" not in about and all(map(seen.absent, about)):
                return [Conversation("vqa", (("vqa", qa.question, words.UNKNOWN),))]
    return []
