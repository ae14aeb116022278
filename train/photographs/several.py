"""What training asks about several photographs at once."""

import random

from train.photographs import words
from train.photographs.conversations import Conversation, Seen, known_labels, wording
from train.photographs.data import Photo, Question, bare_caption


def several_images(group: list[Seen], others: list[Photo], rng: random.Random) -> list[Conversation]:
    """Which image shows ..., describe one of them, what differs, what happens across them, a question about one."""
    conversations = [conversation for _ in range(3) for conversation in which(group, others, rng)]
    described = [n for n, seen in enumerate(group) if seen.photo.captions]
    if described:
        n = rng.choice(described)
        task = rng.choice(("vqa", "compare"))
        question = wording(rng, words.NTH, n=str(n + 1), nth=words.NTHS[n])
        conversations.append(Conversation("caption", ((task, question, rng.choice(group[n].photo.captions)),)))
    if len(described) == len(group):
        conversations.append(across(group, rng))
    n = rng.randrange(len(group))
    if group[n].photo.questions:
        qa: Question = rng.choice(group[n].photo.questions)
        bare = f"{qa.question[0].lower()}{qa.question[1:]}"
        question = rng.choice(
            (f"Image {n + 1}: {bare}", f"In image {n + 1}, {bare}", f"In the {words.NTHS[n]} image, {bare}")
        )
        conversations.append(Conversation("asked", ((rng.choice(("vqa", "compare")), question, qa.answer),)))
    return conversations


def which(group: list[Seen], others: list[Photo], rng: random.Random) -> list[Conversation]:
    """Which image shows a caption, or a thing? Now and then: none."""
    if rng.random() < 0.25:
        label = rng.choice(words.LABELS)
        there = [n for n, seen in enumerate(group) if label in known_labels(seen)]
        if len(there) > 1 or any(n not in there and not seen.absent(label) for n, seen in enumerate(group)):
            return []
        answer = f"Image {there[0] + 1}." if there else words.NONE
        return [Conversation("which", (("compare", wording(rng, words.WHICH_LABEL, a=words.article(label)), answer),))]
    n = rng.randrange(len(group))
    captions, answer = group[n].photo.captions, f"Image {n + 1}."
    if rng.random() < 0.2:
        captions, answer = [text for other in others for text in other.captions[:1]], words.NONE
    if not captions:
        return []
    text = rng.choice(captions)
    question = rng.choice(words.WHICH).format(caption=text, bare=bare_caption(text))
    return [Conversation("which", (("compare", question, answer),))]


def across(group: list[Seen], rng: random.Random) -> Conversation:
    """All images in one answer: what differs, or what happens from one to the next."""
    texts = [bare_caption(rng.choice(seen.photo.captions)) for seen in group]
    if len(group) == 2 and rng.random() < 0.7:
        return Conversation(
            "across",
            (
                (
                    "compare",
                    wording(rng, words.DIFFER),
                    f"The first image shows {texts[0]}; the second shows {texts[1]}.",
                ),
            ),
        )
    story = f"First, {texts[0]}. " + " ".join(f"Then, {text}." for text in texts[1:])
    return Conversation("across", (("compare", wording(rng, words.ACROSS), story),))
