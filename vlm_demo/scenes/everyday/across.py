"""Everyday questions about several pictures: which of them, how many in all, in both, about one of them."""

import random
import re
from collections.abc import Callable, Sequence

from ..asking import COLORS, LABELS, QA
from ..grammar import say
from ..language import NUMBERS, PLACES, article, caption, join, plural
from ..objects import Layout
from . import everyday
from .things import absent_label
from .vocabulary import CATEGORIES, FOREIGN, many, of_category

NONE = "None of them."
SAME_NUMBER = "They have the same number."
NOTHING_SHARED = "Nothing."
IMAGE = "(image|image|picture|photo|one|scene)"
ORDINALS = ("first", "second", "third", "fourth")
# How one asks what changed between two pictures.
DIFFERENCE = (
    "What (changed|has changed|is different|differs|was changed|is not the same) (between (the|these) "
    "(images|pictures|two)|between them|here|in the second (image|picture)|)?",
    "(What is|What are|Tell me|Find|Spot|Describe|Show me|Name|List|Can you find) the (difference|"
    "differences|change|changes) (between (them|the two|the images|the pictures|both|image 1 and image 2|"
    "these images)|).",
    "How (do (they|the images|the pictures|the two|these) differ|are (they|the images|the two pictures) "
    "different|did it change)?",
    "(In what way|How) (does|is) (image 2|the second (image|picture)) (differ from|different from) (image 1|"
    "the first|the first one)?",
    "(Compare|Compare them|Compare the (two|images|pictures|two images)|Compare both).",
    "What (happened|is the difference|makes them different|is new or gone) (between the two|)?",
)


def which(scenes: Sequence[Layout], rng: random.Random) -> list[QA]:
    """Which of the pictures shows something; one, several or none of them."""
    qas = []

    def ask(holds: Callable[[Layout], bool], what: str, kind: str, *more: str) -> None:
        hits = [number for number, scene in enumerate(scenes, 1) if holds(scene)]
        question = say(
            rng,
            f"(Which|What) {IMAGE} (shows|has|contains|includes|displays|features|is the one with) {what}?",
            "Which (image|picture|photo|one|of them|of the images|of the pictures) (shows|has|contains|"
            f"includes) {what}?",
            f"(In|On) which {IMAGE} (is there|do you see|can you see|can I see|is) {what}?",
            f"(Where|In which one) (is there|do you see|can I find) {what}?",
            f"(Tell me which|Find the|Show me the) {IMAGE} (|that|which) (has|shows|contains) {what}.",
            f"Which has {what}?",
            f"(Which images|Which pictures|Which ones|Which of them) (show|have|contain) {what}?",
            *more,
        )
        answer = f"{join([f'image {hit}' for hit in hits]).capitalize()}." if hits else NONE
        qas.append(QA(question, answer, f"which image: {kind}" if hits else "which image: none"))

    scene = rng.choice(scenes)
    item = rng.choice(scene.objects)
    labels = [other.label for other in scene.objects]

    def label_ask(label: str) -> None:
        ask(
            lambda other: any(thing.label == label for thing in other.objects),
            f"({article(label)}|the {label}|any {plural(label)}|{plural(label)})",
            "label",
        )

    label_ask(item.label)
    everywhere = {thing.label for other in scenes for thing in other.objects}
    label_ask(rng.choice([label for label in LABELS if label not in everywhere]))
    gone = rng.choice(FOREIGN)
    ask(lambda _: False, f"({article(gone)}|the {gone}|{many(gone)})", "label")
    name = item.name if rng.random() < 0.5 else f"{rng.choice(COLORS)} {item.label}"
    ask(
        lambda other: any(thing.name == name for thing in other.objects),
        f"({article(name)}|the {name})",
        "look",
        f"(In|On) which {IMAGE} is the {item.label} {name.split()[0]}?",
    )
    color = rng.choice((item.color, rng.choice(COLORS)))
    ask(
        lambda other: any(thing.color == color for thing in other.objects),
        f"(something {color}|anything {color}|{article(color)} (thing|object)|{color} things)",
        "colour",
    )
    n = labels.count(item.label)
    n = n if rng.random() < 0.7 else rng.randint(1, 3)
    if n > 1:
        ask(
            lambda other: sum(thing.label == item.label for thing in other.objects) == n,
            f"({NUMBERS[n]}|exactly {NUMBERS[n]}) {plural(item.label)}",
            "so many",
        )
    ask(
        lambda other: all(thing.label != item.label for thing in other.objects),
        f"(no {item.label}|no {plural(item.label)}|not {article(item.label)})",
        "without",
    )
    category = rng.choice(tuple(CATEGORIES))
    members = [of_category(other, category) for other in scenes]
    if None not in members:
        ask(
            lambda other: bool(of_category(other, category)),
            f"({article(category)}|any {many(category)}|{many(category)})",
            "category",
        )
    setting = rng.choice((scene.setting, rng.choice(tuple(PLACES))))
    place = PLACES[setting]
    hits = [number for number, other in enumerate(scenes, 1) if other.setting == setting]
    question = say(
        rng,
        f"(Which|What) {IMAGE} (is|was taken|is set|shows a scene|plays) {place}?",
        f"(Which|Which one) (of them|of the pictures|of these|) is {place}?",
    )
    answer = f"{join([f'image {hit}' for hit in hits]).capitalize()}." if hits else NONE
    qas.append(QA(question, answer, "which image: setting" if hits else "which image: none"))
    qas += _most(scenes, rng)
    return qas


def _most(scenes: Sequence[Layout], rng: random.Random) -> list[QA]:
    """Which has the most or the fewest objects, or objects of a label."""
    qas = []
    item = rng.choice(rng.choice(scenes).objects)
    for what, count in (
        ("(objects|things|items|icons|stuff in it)", lambda scene: len(scene.objects)),
        (plural(item.label), lambda scene: sum(other.label == item.label for other in scene.objects)),
    ):
        numbers = [count(scene) for scene in scenes]
        most = rng.random() < 0.6
        best = max(numbers) if most else min(numbers)
        hits = [number for number, n in enumerate(numbers, 1) if n == best]
        two = len(scenes) == 2
        word = (
            ("(more|more|the most)" if two else "the most")
            if most
            else ("(fewer|less|the fewest)" if two else "the fewest")
        )
        question = say(
            rng,
            "(Which|Which one|Which of them|Which image|Which picture|What image|Which photo) (has|shows|"
            f"contains) {word} {what}?",
            f"(Where|In which image|In which one) (are there|do you see) {word} {what}?",
            f"(Which|Which {IMAGE}) (has|shows) {word} {what} (in it|)?",
        )
        if len(hits) == 1:
            qas.append(QA(question, f"Image {hits[0]}.", "which image: number"))
        elif two:
            qas.append(QA(question, SAME_NUMBER, "which image: same number"))
    return qas


def together(scenes: Sequence[Layout], rng: random.Random) -> list[QA]:
    """What is true of all the pictures: counts in all and in each, both, any, in common."""
    item = rng.choice(rng.choice(scenes).objects)
    label = item.label if rng.random() < 0.8 else absent_label(scenes[0], rng)
    counts = [sum(other.label == label for other in scene.objects) for scene in scenes]
    both = (
        "(both|both images|both pictures|the two images)"
        if len(scenes) == 2
        else "all (images|pictures|of them|the images)"
    )
    question = say(
        rng,
        f"How many {plural(label)} (are there|do you see|are) in (total|all|all images together|{both} "
        "together|all the pictures)?",
        f"How many {plural(label)} altogether?",
        f"(Count|Add up) (all|) the {plural(label)} in all (images|pictures).",
    )
    qas = [QA(question, str(sum(counts)), "how many across")]
    question = say(
        rng,
        f"(Do|Does) {both} (show|have|contain) {article(label)}?",
        f"Is there {article(label)} (in|on) {both}?",
        f"Is the {label} in {both}?",
    )
    qas.append(QA(question, "yes" if all(counts) else "no", "is it in all"))
    question = say(
        rng,
        f"(Is there|Do you see|Can you see) {article(label)} (in any of (them|the images|the pictures)|in "
        "either|anywhere|in one of them)?",
        f"Does any (of them|of the images|image|picture) (show|have|contain) {article(label)}?",
    )
    qas.append(QA(question, "yes" if any(counts) else "no", "is it in any"))
    question = say(
        rng,
        "(Are|Were) (they|both|all|the images|the pictures|these) (taken|set|) (in|at) the same (place|"
        "setting|location)?",
        "(Is|Was) the (setting|place|background) the same (in both|in all|)?",
        f"Do {both} have the same (background|setting)?",
    )
    same = len({scene.setting for scene in scenes}) == 1
    qas.append(QA(question, "yes" if same else "no", "same setting"))
    if len(scenes) == 2:
        numbers = [len(scene.objects) for scene in scenes]
        question = say(
            rng,
            "(Do|Have) (they|both|the images|both pictures) (have|) the same number of (objects|things)?",
            "Are there as many (things|objects) in the first (image|picture|) as in the second?",
        )
        qas.append(QA(question, "yes" if numbers[0] == numbers[1] else "no", "same number"))
        shared = [
            name
            for name in dict.fromkeys(i.label for i in scenes[0].objects)
            if any(o.label == name for o in scenes[1].objects)
        ]
        question = say(
            rng,
            "What (do (they|both|the images|the two pictures) (have in common|share|both show)|is in both "
            "(images|pictures|)|is the same in both)?",
            "(Which|What) (objects|things) (are|appear|can be seen) in both (images|pictures|)?",
            "(Name|List) what (is in both|they have in common).",
        )
        answer = join([article(name) for name in shared]) if shared else NOTHING_SHARED
        qas.append(QA(question, answer, "what in common"))
    return qas


def each(scenes: Sequence[Layout], rng: random.Random) -> QA:
    """What each of the pictures shows."""
    question = say(
        rng,
        "What (do you see|can you see|is shown|is there|do they show|is in the (images|pictures)) (in the "
        "(images|pictures)|in them|here|)?",
        "(Describe|Caption|List) (them|each|the images|the pictures|all images|each (image|picture)|everything).",
        "What (does each (image|picture|one) show|is in each (image|picture|of them)|do the (images|pictures) show)?",
    )
    captions = [f"Image {number}: {caption(scene, 'brief')}" for number, scene in enumerate(scenes, 1)]
    return QA(question, " ".join(captions), "what does each show")


def about_one(scenes: Sequence[Layout], rng: random.Random, asked: QA | None = None) -> QA:
    """A question about one of the pictures, which says which."""
    number = rng.randint(1, len(scenes))
    if asked is None:
        qas = [
            qa
            for qa in everyday(scenes[number - 1], rng.getrandbits(40))
            if qa.kind not in ("small talk", "cannot know")
        ]
        by_kind: dict[str, list[QA]] = {}
        for qa in qas:
            by_kind.setdefault(qa.kind, []).append(qa)
        asked = rng.choice(by_kind[rng.choice(list(by_kind))])
    ordinals = [ORDINALS[number - 1]]
    if number == len(scenes):
        ordinals.append("last")
    if len(scenes) == 2:
        ordinals.append(("left", "right")[number - 1])
    one = f"(image {number}|picture {number}|the {rng.choice(ordinals)} (image|picture|photo|one))"
    bare = re.sub(r" (in|on|of|from) (the|this) (picture|image|photo|scene)\b", "", asked.question).rstrip("?.")
    mark = asked.question[len(asked.question.rstrip("?.")) :]
    lower = bare[0].lower() + bare[1:]
    if re.search(r"\b(picture|image|photo|scene)\b", bare):  # it speaks of "this picture" already
        question = say(rng, f"(Image|Picture) {number}: {lower}{mark}", f"(In|About|For) {one}: {lower}{mark}")
    else:
        question = say(
            rng,
            f"(Image|Picture) {number}: {lower}{mark}",
            f"(In|On|For) {one}, {lower}{mark}",
            f"{bare} (in|on) {one}{mark}",
            f"{bare} (in|on) {one}{mark}",
        )
    return QA(question, asked.answer, asked.kind)
