"""Everyday questions about what is there: how many, which colour, is there, what do you see."""

import random
from collections import Counter

from ..asking import COLORS, LABELS, QA
from ..language import NUMBERS, article, at_position, capital, caption, groups, join, plural
from ..objects import Layout, SceneObject
from .vocabulary import CATEGORIES, FOREIGN, many, of_category
from .wording import word

AGREEING = ("is_", "Is", "isnt", "Isnt", "does", "has", "it")  # slots for words that agree with what is asked about
ONE = dict(zip(AGREEING, "is Is isn't Isn't does has it".split(), strict=True))
SEVERAL = dict(zip(AGREEING, "are Are aren't Aren't do have they".split(), strict=True))


def sampled(rng: random.Random, items: list, most: int = 2) -> list:
    """At most so many of the items."""
    return rng.sample(items, min(len(items), most))


def absent_label(scene: Layout, rng: random.Random) -> str:
    """A label that is not there."""
    present = {item.label for item in scene.objects}
    return rng.choice([label for label in LABELS if label not in present])


def yes(holds: bool) -> str:
    """The answer to a question that yes or no answers."""
    return "yes" if holds else "no"


def counts(scene: Layout, rng: random.Random) -> list[QA]:
    """How many of a label, of a look, of a colour, of a category, in all."""
    qas = []

    def ask(what: str, n: int, kind: str) -> None:
        qas.append(QA(word(rng, "how many", what=what), str(n), kind))

    labels = Counter(item.label for item in scene.objects)
    looks = Counter(item.name for item in scene.objects)
    for label in sampled(rng, list(labels)):
        ask(plural(label), labels[label], "how many")
    ask(plural(absent_label(scene, rng)), 0, "how many")
    ask(many(rng.choice(FOREIGN)), 0, "how many")
    item = rng.choice(scene.objects)
    color = rng.choice((item.color, rng.choice(COLORS)))
    ask(f"{color} {plural(item.label)}", looks[f"{color} {item.label}"], "how many of a look")
    color = rng.choice((item.color, rng.choice(COLORS)))
    n = sum(other.color == color for other in scene.objects)
    ask(f"{color} (things|objects|items|icons|ones)", n, "how many of a colour")
    total = len(scene.objects)
    ask("(things|objects|items|icons)", total, "how many in all")
    qas.append(QA(word(rng, "how many in all"), str(total), "how many in all"))
    category = rng.choice(tuple(CATEGORIES))
    members = of_category(scene, category)
    if members is not None:
        ask(many(category), len(members), "how many of a category")
    if total == len(labels):
        ask("(different kinds of things|kinds of objects|types of things|different objects)", total, "how many kinds")
    shades = len({item.color for item in scene.objects})
    ask("(different colours|different colors|colours)", shades, "how many colours")
    return qas


def colors(scene: Layout, rng: random.Random) -> list[QA]:
    """Which colour something has, is it red, what is red, which colours there are."""
    qas = []
    labels = Counter(item.label for item in scene.objects)
    for label in sampled(rng, list(labels)):
        shades = list(dict.fromkeys(item.color for item in scene.objects if item.label == label))
        one = labels[label] == 1
        the = f"the {label if one else plural(label)}"
        agreeing = ONE if one else SEVERAL
        of_the = f"{the}'" if not one and the.endswith("s") else f"{the}'s"
        question = word(rng, "colour", the=the, of_the=of_the, **agreeing)
        qas.append(QA(question, join(shades), "colour" if len(shades) == 1 else "colours"))
        if len(shades) == 1:
            claimed = shades[0] if rng.random() < 0.5 else rng.choice([c for c in COLORS if c != shades[0]])
            question = word(rng, "has it this colour", the=the, of_the=of_the, color=claimed, **agreeing)
            qas.append(QA(question, yes(claimed == shades[0]), "has it this colour"))
    color = rng.choice((rng.choice(scene.objects).color, rng.choice(COLORS)))
    same = [item for item in scene.objects if item.color == color]
    if len({item.label for item in same}) == 1:
        answer = f"the {same[0].label}" if len(same) == 1 else f"the {plural(same[0].label)}"
    else:
        answer = join(groups(same)) if same else f"Nothing is {color}."
    qas.append(QA(word(rng, "what has this colour", color=color), answer, "what has this colour"))
    shades = list(dict.fromkeys(item.color for item in scene.objects))
    qas.append(QA(word(rng, "which colours"), join(shades), "which colours"))
    qas.append(QA(word(rng, "are all of one colour"), yes(len(shades) == 1), "are all of one colour"))
    return qas


def existence(scene: Layout, rng: random.Random) -> list[QA]:
    """Whether something is there: a label, a look, a colour, a category, at least so many."""
    qas = []

    def ask(one: str, more: str, there: bool) -> None:
        qas.append(QA(word(rng, "is there", one=article(one), more=more), yes(there), "is there"))

    labels = Counter(item.label for item in scene.objects)
    looks = {item.name for item in scene.objects}
    for _ in range(2):
        label = rng.choice(scene.objects).label if rng.random() < 0.6 else absent_label(scene, rng)
        ask(label, plural(label), label in labels)
    item = rng.choice(scene.objects)
    name = f"{rng.choice((item.color, rng.choice(COLORS)))} {item.label}"
    ask(name, f"{name.split()[0]} {plural(item.label)}", name in looks)
    gone = rng.choice(FOREIGN)
    ask(gone, many(gone), False)
    category = rng.choice(tuple(CATEGORIES))
    members = of_category(scene, category)
    if members is not None:
        ask(category, many(category), bool(members))
    color = rng.choice((item.color, rng.choice(COLORS)))
    there = any(other.color == color for other in scene.objects)
    question = word(rng, "is anything this colour", color=color, a_color=article(color))
    qas.append(QA(question, yes(there), "is anything this colour"))
    label = item.label
    n, asked = labels[label], rng.randint(1, 3)
    bound, holds = rng.choice(
        (("(more than|over)", n > asked), ("at least", n >= asked), ("(exactly|just|precisely|only)", n == asked))
    )
    slots = {"bound": bound, "n": f"({NUMBERS[asked]}|{asked})", "nouns": plural(label)}
    slots |= {"noun": label, **ONE} if asked == 1 else {"noun": plural(label), **SEVERAL}
    qas.append(QA(word(rng, "are there so many", **slots), yes(holds), "are there so many"))
    if len(labels) > 1:
        one, other = rng.sample(list(labels), 2)
        more = rng.random() < 0.7
        kinds = {"ones": plural(one), "others": plural(other)}
        holds = labels[one] > labels[other] if more else labels[one] < labels[other]
        question = word(rng, "are there more" if more else "are there fewer", **kinds)
        qas.append(QA(question, yes(holds), "are there more"))
        if labels[one] != labels[other]:
            winner = max((one, other), key=labels.__getitem__)
            qas.append(QA(word(rng, "what is there more of", **kinds), plural(winner), "what is there more of"))
    return qas


def listing(scene: Layout, rng: random.Random) -> list[QA]:
    """What is in the picture, as a list or in whole sentences; which animals."""
    everything = capital(join(groups(scene.objects))) + "."
    qas = [
        QA(word(rng, "what do you see"), caption(scene, "brief"), "what do you see"),
        QA(word(rng, "describe in detail"), caption(scene, "detailed"), "describe in detail"),
        QA(word(rng, "list everything"), everything, "list everything"),
    ]
    category = rng.choice(("animal", "animal", "vehicle", "vehicle", "fruit", "tool"))
    members = of_category(scene, category)
    if members is not None:
        question = word(rng, "which of a category", one=category, more=many(category))
        answer = join(groups(members)) if members else f"There are no {many(category)}."
        qas.append(QA(question, answer, "which of a category"))
    if len(scene.objects) == 1:
        qas.append(QA(word(rng, "what is this"), article(scene.objects[0].name), "what is this"))
    return qas


def portraits(scene: Layout, rng: random.Random) -> list[QA]:
    """A thing alone, as words such as "the cat": its colour and place; or that there is none."""
    label = rng.choice(scene.objects).label if rng.random() < 0.7 else absent_label(scene, rng)
    return [QA(word(rng, "tell me about it", label=label), portrait(scene, label), "tell me about it")]


def portrait(scene: Layout, label: str) -> str:
    """What is to be said of all things of a label."""
    items: list[SceneObject] = [item for item in scene.objects if item.label == label]
    if not items:
        return f"There is no {label}."
    return join([f"{article(item.name)} {at_position(item)}" for item in items])
