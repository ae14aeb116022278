"""Everyday questions about several pictures: which of them, how many in all, in both, about one of them."""

import random
import re
from collections.abc import Callable, Sequence

from ..asking import COLORS, LABELS, QA
from ..language import NUMBERS, PLACES, article, caption, join, plural
from ..objects import Layout
from . import everyday
from .things import absent_label
from .vocabulary import CATEGORIES, FOREIGN, many, of_category
from .wording import word

NONE = "None of them."
SAME_NUMBER = "They have the same number."
NOTHING_SHARED = "Nothing."
ORDINALS = ("first", "second", "third", "fourth")
SHORT_ORDINALS = ("1st", "2nd", "3rd", "4th")
PICTURE_NOUN = r"(?:picture|image|photo|scene|pic|drawing|view|illustration|photograph)"


def which(scenes: Sequence[Layout], rng: random.Random) -> list[QA]:
    """Which of the pictures shows something; one, several or none of them."""
    qas = []
    names = _names(scenes)

    def ask(section: str, holds: Callable[[Layout], bool], kind: str, **slots: str) -> None:
        hits = [number for number, scene in enumerate(scenes, 1) if holds(scene)]
        answer = f"{join([f'image {hit}' for hit in hits]).capitalize()}." if hits else NONE
        question = word(rng, section, **names, **slots)
        qas.append(QA(question, answer, f"which image: {kind}" if hits else "which image: none"))

    scene = rng.choice(scenes)
    item = rng.choice(scene.objects)
    labels = [other.label for other in scene.objects]
    everywhere = {thing.label for other in scenes for thing in other.objects}
    for label in (item.label, rng.choice([label for label in LABELS if label not in everywhere])):
        ask(
            "which image",
            lambda other, label=label: any(thing.label == label for thing in other.objects),
            "label",
            what=f"({article(label)}|{article(label)}|the {label}|any {plural(label)}|{plural(label)})",
        )
    gone = rng.choice(FOREIGN)
    ask("which image", lambda _: False, "label", what=f"({article(gone)}|the {gone}|{many(gone)})")
    color = item.color if rng.random() < 0.5 else rng.choice(COLORS)
    name = f"{color} {item.label}"
    ask(
        rng.choice(("which image", "which image", "which image has it so")),
        lambda other: any(thing.name == name for thing in other.objects),
        "look",
        what=f"({article(name)}|the {name})",
        color=color,
        label=item.label,
        a_label=article(item.label),
    )
    color = rng.choice((item.color, rng.choice(COLORS)))
    ask(
        "which image",
        lambda other: any(thing.color == color for thing in other.objects),
        "colour",
        what=f"(something {color}|anything {color}|{article(color)} (thing|object)|{color} things)",
    )
    n = labels.count(item.label)
    n = n if rng.random() < 0.7 else rng.randint(1, 3)
    if n > 1:
        ask(
            "which image",
            lambda other: sum(thing.label == item.label for thing in other.objects) == n,
            "so many",
            what=f"({NUMBERS[n]}|exactly {NUMBERS[n]}) {plural(item.label)}",
        )
    ask(
        "which image without",
        lambda other: all(thing.label != item.label for thing in other.objects),
        "without",
        what=article(item.label),
        label=item.label,
        labels=plural(item.label),
    )
    category = rng.choice(tuple(CATEGORIES))
    if all(of_category(other, category) is not None for other in scenes):
        ask(
            "which image",
            lambda other: bool(of_category(other, category)),
            "category",
            what=f"({article(category)}|any {many(category)}|{many(category)})",
        )
    setting = rng.choice((scene.setting, rng.choice(tuple(PLACES))))
    ask(
        "which image is set there",
        lambda other: other.setting == setting,
        "setting",
        place=PLACES[setting],
        setting=setting,
    )
    return qas + _most(scenes, rng)


def _names(scenes: Sequence[Layout]) -> dict[str, str]:
    """How wordings name the pictures, as slots."""
    numbers = [str(number) for number in range(1, len(scenes) + 1)]
    ways = [numbers, *([f"{noun} {number}" for number in numbers] for noun in ("image", "picture"))]
    ways.append([f"the {ordinal}" for ordinal in ORDINALS[: len(scenes)]])
    two = len(scenes) == 2
    if two:
        ways += [["left", "right"], ["the left one", "the right one"]]
    return {
        "image": "(image|image|image|picture|picture|photo|pic|drawing|one|scene)",
        "noun": "(image|image|picture|picture|photo|pic|drawing|scene)",
        "pics": "(images|images|pictures|pictures|photos|pics|drawings|scenes)",
        "them": "(them|these|the (images|pictures|pics|photos)" + ("|the two|these two)" if two else ")"),
        "both": "(both|both images|both pictures|the two images|the two pictures|both of them)"
        if two
        else "all (images|pictures|of them|the images|the pictures)",
        "choice": f"({'|'.join(', '.join(way[:-1]) + f' or {way[-1]}' for way in ways)})",
    }


def _most(scenes: Sequence[Layout], rng: random.Random) -> list[QA]:
    """Which has the most or the fewest objects, or objects of a label."""
    qas = []
    names = _names(scenes)
    two = len(scenes) == 2
    item = rng.choice(rng.choice(scenes).objects)
    for what, count in (
        ("", lambda scene: len(scene.objects)),
        (plural(item.label), lambda scene: sum(other.label == item.label for other in scene.objects)),
    ):
        numbers = [count(scene) for scene in scenes]
        most = rng.random() < 0.6
        more = "more" if most else "(fewer|less)"
        superlative = "the most" if most else "the fewest"
        full = "fullest|busiest|most crowded|most cluttered|most packed|most filled|densest|most populated"
        fuller = "fuller|busier|more crowded|more packed|more cluttered|denser"
        if not most:
            full = "emptiest|least crowded|sparsest|least full|least busy|least cluttered|barest|most empty"
            fuller = "emptier|less crowded|less full|barer|sparser|less busy|less cluttered|more empty"
        full += f"|{fuller}" * two
        sections = ["which image has the most"] * 3
        sections += ["which of two has more"] * two + ["which image is full"] * (not what)
        question = word(
            rng,
            rng.choice(sections),
            **names,
            what=what or "(objects|things|items|icons)",
            word=f"({more}|{more}|{superlative})" if two else superlative,
            more=more,
            highest="(highest|largest|greatest|biggest|top|maximum)" if most else "(lowest|smallest|least|minimum)",
            full=f"({full})",
        )
        best = max(numbers) if most else min(numbers)
        hits = [number for number, n in enumerate(numbers, 1) if n == best]
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
    names = _names(scenes)
    both, pics = names["both"], names["pics"]
    names["in_all"] = (
        "(in total|altogether|all in all|all told|overall|combined|put together|in all|"
        f"in {both} (together|combined)|in all the {pics} together)"
    )
    same_setting = len({scene.setting for scene in scenes}) == 1
    qas = []

    def ask(section: str, answer: str | bool, kind: str, **slots: str) -> None:
        answer = answer if isinstance(answer, str) else ("yes" if answer else "no")
        qas.append(QA(word(rng, section, **names, **slots), answer, kind))

    ask("how many in all images", str(sum(counts)), "how many across", what=plural(label))
    ask("is it in all images", all(counts), "is it in all", what=article(label), label=label)
    ask("is it in any image", any(counts), "is it in any", what=article(label))
    ask("same setting", same_setting, "same setting")
    if len(scenes) == 2:
        first, second = ([item.label for item in scene.objects] for scene in scenes)
        ask("same number", len(first) == len(second), "same number")
        shared = [article(name) for name in dict.fromkeys(first) if name in second]
        ask("in common", join(shared) if shared else NOTHING_SHARED, "what in common")
    return qas


def each(scenes: Sequence[Layout], rng: random.Random) -> QA:
    """What each of the pictures shows."""
    captions = [f"Image {number}: {caption(scene, 'brief')}" for number, scene in enumerate(scenes, 1)]
    return QA(word(rng, "each", **_names(scenes)), " ".join(captions), "what does each show")


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
    bare = re.sub(rf"(?<!\bis)(?<!\bare) (in|on|of|from) (the|this) {PICTURE_NOUN}\b", "", asked.question).rstrip("?.")
    # It speaks of "this picture" already, or has several sentences: nothing can be said behind it.
    ahead = re.search(rf"\b{PICTURE_NOUN}\b|[?.!] ", bare)
    section = "about one, ahead" if ahead else "about one"
    if len(scenes) == 2 and not ahead and rng.random() < 0.06:
        section = "about the other"
    question = word(
        rng,
        section,
        **_names(scenes),
        number=str(number),
        one=_one(number, len(scenes)),
        other=_one(3 - number, 2) if len(scenes) == 2 else "",
        bare=bare,
        lower=bare if re.match(r"I\b", bare) else bare[0].lower() + bare[1:],
        mark=asked.question[len(asked.question.rstrip("?.")) :],
    )
    return QA(question, asked.answer, asked.kind)


def _one(number: int, count: int) -> str:
    """Ways to name one of `count` pictures by its number."""
    ordinals = [ORDINALS[number - 1]] * 2 + ["last"] * (number == count)
    ways = [
        f"(image|picture) {number}",
        f"(image|picture|pic|photo|number) {number}",
        f"(image|picture|number) {NUMBERS[number]}",
        f"(image|picture) number {number}",
        f"the ({'|'.join(ordinals)}) (image|picture|photo|pic|one|drawing)",
        f"the {SHORT_ORDINALS[number - 1]} (image|picture|pic|one|)",
    ]
    if count == 2:
        side = ("left", "right")[number - 1]
        ways += [f"the {side} (image|picture|one)", f"the (image|picture|one) on the {side}"]
    return f"({'|'.join(ways)})"
