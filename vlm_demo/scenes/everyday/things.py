"""Everyday questions about what is there: how many, which colour, is there, what do you see."""

import random
from collections import Counter

from ..asking import COLORS, LABELS, QA
from ..grammar import say
from ..language import NUMBERS, article, at_position, capital, caption, groups, join, plural
from ..objects import Layout, SceneObject
from .vocabulary import CATEGORIES, FOREIGN, PICTURE, many, of_category
from .wording import word

SEEN = (
    "(do you see|can you see|are there|are in the PICTURE|are there in the PICTURE|are shown|are visible|can be seen)"
)
SEEN = SEEN.replace("PICTURE", PICTURE)
IN_IT = f"(|||in (the|this) {PICTURE}|in (the|this) {PICTURE}|here)"
ANY = "(Is there|Are there|Do you see|Can you see|Can I see|Do we see|Does this show|Have you found|Is there maybe)"


def sampled(rng: random.Random, items: list, most: int = 2) -> list:
    """At most so many of the items."""
    return rng.sample(items, min(len(items), most))


def absent_label(scene: Layout, rng: random.Random) -> str:
    """A label that is not there."""
    present = {item.label for item in scene.objects}
    return rng.choice([label for label in LABELS if label not in present])


def counts(scene: Layout, rng: random.Random) -> list[QA]:
    """How many of a label, of a look, of a colour, of a category, in all."""
    qas = []

    def ask(what: str, n: int, kind: str) -> None:
        question = word(rng, "how many", what=what)
        qas.append(QA(question, str(n), kind))

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
    ask("(things|objects|items|icons|objects in total|things altogether|different icons)", total, "how many in all")
    category = rng.choice(tuple(CATEGORIES))
    members = of_category(scene, category)
    if members is not None:
        ask(many(category), len(members), "how many of a category")
    if total == len(labels):
        ask("(different kinds of things|kinds of objects|types of things|different objects)", total, "how many kinds")
    shades = len({item.color for item in scene.objects})
    ask("(different colours|colours)", shades, "how many colours")
    return qas


def colors(scene: Layout, rng: random.Random) -> list[QA]:
    """Which colour something has, is it red, what is red, which colours there are."""
    qas = []
    labels = Counter(item.label for item in scene.objects)
    for label in sampled(rng, list(labels)):
        shades = list(dict.fromkeys(item.color for item in scene.objects if item.label == label))
        one = labels[label] == 1
        the, are = (f"the {label}", "is") if one else (f"the {plural(label)}", "are")
        question = say(
            rng,
            f"(What|Which|What kind of) colour {are} {the} {IN_IT}?",
            f"(What|Which) colour (would you say|do you think) {the} {are}?",
            f"(What|Which) colour {'does' if one else 'do'} {the} (have|show)?",
            f"(The|What is the|Tell me the|Give me the) colour of {the} {IN_IT}.",
            f"(In what|In which) colour {are} {the} (drawn|painted|shown)?",
            f"{the} (has|have|is|are) (what|which) colour?",
            f"What is {the[4:]}'s colour?" if one else f"What colour {are} {the}?",
            f"{the}, (what|which) colour?",
        )
        qas.append(QA(question, join(shades), "colour" if len(shades) == 1 else "colours"))
        if len(shades) == 1:
            claimed = shades[0] if rng.random() < 0.5 else rng.choice([c for c in COLORS if c != shades[0]])
            question = say(
                rng,
                f"{'Is' if one else 'Are'} {the} {claimed}?",
                f"{'Is' if one else 'Are'} {the} (really|coloured|painted|of the colour|all) {claimed}?",
                f"Is the colour of {the} {claimed}?",
                f"{the} {are} {claimed}, right?",
            )
            qas.append(QA(question, "yes" if claimed == shades[0] else "no", "has it this colour"))
    color = rng.choice((rng.choice(scene.objects).color, rng.choice(COLORS)))
    same = [item for item in scene.objects if item.color == color]
    thing = "(thing|things|object|objects|item|items|icons)"
    question = say(
        rng,
        f"(What|Which) {thing} (is|are) {color} {IN_IT}?",
        f"What is (coloured|painted|drawn in) {color}?",
        f"(Name|List|Tell me|Give me) (the|all|all the|everything) {color} (things|objects|ones).",
        f"(Name|List|Tell me) everything (that is|) {color}.",
        f"What (do you see|is there|can you find) (that is|in) {color}?",
        f"What is the {color} (thing|object|one|icon)?",
        f"What are the {color} (things|objects|ones)?",
    )
    if len({item.label for item in same}) == 1:
        answer = f"the {same[0].label}" if len(same) == 1 else f"the {plural(same[0].label)}"
    else:
        answer = join(groups(same)) if same else f"Nothing is {color}."
    qas.append(QA(question, answer, "what has this colour"))
    shades = list(dict.fromkeys(item.color for item in scene.objects))
    question = say(
        rng,
        "(What|Which) colours (do you see|are there|do the (things|objects|icons) have|are used|can you see|"
        f"appear) {IN_IT}?",
        "(List|Name|Tell me|Give me) (the|all|all the) colours (of the (things|objects)|you see|).",
        f"What are the colours of the (things|objects|icons) {IN_IT}?",
    )
    qas.append(QA(question, join(shades), "which colours"))
    question = say(
        rng,
        "(Do (all|all the) (things|objects) have|Have all (things|objects)) the same colour?",
        "(Are|Is) (all|everything|all of them|they all|all things) (of|) the same colour?",
        "Are they all one colour?",
    )
    qas.append(QA(question, "yes" if len(shades) == 1 else "no", "are all of one colour"))
    return qas


def existence(scene: Layout, rng: random.Random) -> list[QA]:
    """Whether something is there: a label, a look, a colour, a category, at least so many."""
    qas = []

    def ask(one: str, more: str, there: bool) -> None:
        question = say(
            rng,
            f"{ANY} {article(one)} {IN_IT}?",
            f"{ANY} any {more} {IN_IT}?",
            f"(Is|Are) {rng.choice((article(one), more))} (in|on|part of|visible in|shown in|to be seen in) "
            f"the {PICTURE}?",
            f"(Does|Do) (the|this) {PICTURE} (show|have|contain|include) {rng.choice((article(one), 'any ' + more))}?",
            f"(Any|Got any|Any sign of|Have you got any) {more} {IN_IT}?",
            f"Is {article(one)} (there|present|visible|shown|here|in it)?",
            f"There is {article(one)} {IN_IT}, (right|isn't there|correct)?",
            f"Can (you|one|anyone) (find|spot|make out) {article(one)} {IN_IT}?",
        )
        qas.append(QA(question, "yes" if there else "no", "is there"))

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
    question = say(
        rng,
        f"{ANY} (anything|something|any things|a thing) (that is|in|coloured|) {color} {IN_IT}?",
        f"(Is|Are) (anything|something|any of (them|the things)|one of (them|the things)) {color}?",
        f"(Does|Do) (anything|something|any of them) have the colour {color}?",
        f"Any {color} (things|objects|ones) {IN_IT}?",
    )
    qas.append(QA(question, "yes" if there else "no", "is anything this colour"))
    label = item.label
    n, asked = labels[label], rng.randint(1, 3)
    bound, holds = rng.choice(
        (("(more than|over)", n > asked), ("(at least)", n >= asked), ("(exactly|just|precisely|only)", n == asked))
    )
    noun = label if asked == 1 else plural(label)
    question = f"(Is|Are) there {bound} {NUMBERS[asked]} {noun} {IN_IT}?".replace(
        "(Is|Are)", "Is" if asked == 1 else "Are"
    )
    qas.append(QA(say(rng, question), "yes" if holds else "no", "are there so many"))
    if len(labels) > 1:
        one, other = rng.sample(list(labels), 2)
        more = rng.random() < 0.7
        question = say(
            rng,
            f"Are there {'more' if more else 'fewer'} {plural(one)} than {plural(other)} {IN_IT}?",
            f"(Do|Can) you see {'more' if more else 'fewer'} {plural(one)} than {plural(other)}?",
        )
        holds = labels[one] > labels[other] if more else labels[one] < labels[other]
        qas.append(QA(question, "yes" if holds else "no", "are there more"))
        if labels[one] != labels[other]:
            winner = max((one, other), key=labels.__getitem__)
            question = say(
                rng,
                f"(What|Which) (is|are) there more (of|), {plural(one)} or {plural(other)}?",
                f"Are there more {plural(one)} or (more|) {plural(other)}?",
            )
            qas.append(QA(question, plural(winner), "what is there more of"))
    return qas


def listing(scene: Layout, rng: random.Random) -> list[QA]:
    """What is in the picture, as a list or in whole sentences; which animals."""
    see = say(
        rng,
        f"What (do|can) you see {IN_IT}?",
        "What (is|can be seen|is shown|is there|is visible|is happening|do we see|are we looking at|is going "
        f"on) {IN_IT}?",
        f"What does (this|the) {PICTURE} (show|depict|contain)?",
        f"(Describe|Explain|Caption|Summarise) (the|this|that|) ({PICTURE}|what you see|it|scene).",
        f"(Please|Can you|Could you) (describe|caption) (the|this) {PICTURE} (for me|briefly|in one sentence|).",
        f"(Give me|Write|I want|Make) a (short|brief|) (description|caption|summary) (of (the|this) {PICTURE}|).",
        f"(Tell me|Say something) (about|what is in) (the|this) {PICTURE}.",
        f"What is (this|it|the {PICTURE}|this {PICTURE}) (about|of)?",
        f"What is (on|in) (the|this) {PICTURE}?",
        "What am I looking at?",
    )
    qas = [QA(see, caption(scene, "brief"), "what do you see")]
    detail = say(
        rng,
        f"Describe (the|this) {PICTURE} in (detail|full|depth|as much detail as possible).",
        f"(Give me|Write|I want) a (detailed|long|full|longer) (description|caption) (of (the|this) {PICTURE}|).",
        f"(Tell me|Say) (exactly|in detail) what (you see|is in the {PICTURE}) and where.",
        f"What is where {IN_IT}?",
        "Where is everything?",
        "Where are (all|) (the|) (things|objects)?",
    )
    qas.append(QA(detail, caption(scene, "detailed"), "describe in detail"))
    everything = say(
        rng,
        "(List|Name|Enumerate|Tell me|Give me a list of|Make a list of|Write down) (everything|all things|"
        f"all objects|all the objects|the objects|what is there|every object|the things) {IN_IT}.",
        f"(What|Which) (objects|things|items|icons) {SEEN}?",
        f"What (all|else|) is there {IN_IT}?",
        f"What are the (objects|things) {IN_IT}?",
    )
    qas.append(QA(everything, capital(join(groups(scene.objects))) + ".", "list everything"))
    category = rng.choice(("animal", "animal", "vehicle", "vehicle", "fruit", "tool"))
    members = of_category(scene, category)
    if members is not None:
        question = say(
            rng,
            f"(What|Which) {many(category)} {SEEN}?",
            f"(List|Name|Tell me) (all|the|all the|) {many(category)} {IN_IT}.",
            f"(What|Which) (kind of|sort of|) {category} (is this|is it|is there|do you see) {IN_IT}?",
            f"What {category} (is|can be seen) in (the|this) {PICTURE}?",
        )
        answer = join(groups(members)) if members else f"There are no {many(category)}."
        qas.append(QA(question, answer, "which of a category"))
    if len(scene.objects) == 1:
        question = say(
            rng, "What is (this|that|it|the object|the thing|shown here)?", "What (thing|object) is (this|that|it)?"
        )
        qas.append(QA(question, article(scene.objects[0].name), "what is this"))
    return qas


def portraits(scene: Layout, rng: random.Random) -> list[QA]:
    """A thing alone, as words such as "the cat": its colour and place; or that there is none."""
    label = rng.choice(scene.objects).label if rng.random() < 0.7 else absent_label(scene, rng)
    question = say(
        rng,
        f"(|the|and the|what about the|how about the|tell me about the|describe the|show me the|find the) {label}",
        f"(Tell me|Say) (something|more|) about the {label} {IN_IT}.",
        f"What (can you say|do you know) about the {label}?",
    )
    return [QA(question, portrait(scene, label), "tell me about it")]


def portrait(scene: Layout, label: str) -> str:
    """What is to be said of all things of a label."""
    items: list[SceneObject] = [item for item in scene.objects if item.label == label]
    if not items:
        return f"There is no {label}."
    return join([f"{article(item.name)} {at_position(item)}" for item in items])
