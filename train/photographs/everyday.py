"""Everyday questions about one photograph, in the words that people type, answered from captions and boxes.

What people ask first, no data set asks: is it outdoors, what animal is this, how many people are there, what is he
wearing, what does the sign say. A maker below answers one family of them where captions and boxes tell, and says that
the image does not show it where they surely do not.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable

from train.photographs import wordings, words
from train.photographs.conversations import Conversation, Seen, known_labels, wording
from train.photographs.grounded import DOING, STOP, colors_of
from train.photographs.settings import OUTDOORS, PLACES, SPORTS, WEATHER, setting
from vlm_demo.detection import iou

Pair = tuple[str, str]  # question, answer
MANY = 8  # from which nobody counts
LARGE = 0.06  # share of the image from which an object is what the image is of
MAKERS_A_ROW = 12
CLOTHES, ENDS = "|".join(wordings.CLOTHES), "|".join(wordings.ENDS)
WEARING = re.compile(rf"\bwearing (?:an? |his |her )?((?:[\w-]+ ){{0,2}}(?:{CLOTHES}))\b", re.IGNORECASE)
HOLDING = re.compile(rf"\b(?:holding|carrying) (an? (?:[\w-]+ ){{0,2}}?[\w-]+?)(?= (?:{ENDS})\b|[.,])")


def everyday(seen: Seen, rng: random.Random) -> list[Conversation]:
    """Some of the questions that the makers below can ask of a photograph."""
    makers = rng.sample(MAKERS, MAKERS_A_ROW)
    pairs = [pair for maker in makers for pair in maker(seen, rng)]
    return [Conversation("everyday", (("vqa", question, answer),)) for question, answer in pairs]


def counted(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """How many are there, none included."""
    counts = Counter(label for label, _ in seen.photo.objects)
    there = list(counts) if seen.photo.boxed == "all" and seen.photo.whole else []
    absent = [label for label in ("person", rng.choice(words.LABELS)) if seen.absent(label)]
    if "person" in there and rng.random() < 0.5:
        label = "person"
    elif absent and rng.random() < (0.4 if there else 0.2):
        label = rng.choice(absent)
    elif there:
        label = rng.choice(there)
    else:
        return
    n = counts[label]
    answer = "none" if n == 0 else words.NUMBERS[n] if n < MANY else "many"
    yield wording(rng, words.COUNT, many=words.plural(label)), answer


def of_a_kind(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """What animal is this? Are there any vehicles?"""
    kind = rng.choice(list(wordings.KINDS))
    labels = wordings.KINDS[kind]
    there = [label for label in labels if label in known_labels(seen)]
    if there:
        sizes = Counter[str]()
        for label, box in seen.boxes():
            sizes[label] += box[2] * box[3]
        there = sorted(there, key=lambda label: -sizes[label])[:3]
        which, is_there = " and ".join(there), "yes"
    elif all(map(seen.absent, labels)):
        if rng.random() < 0.7:
            return
        which, is_there = words.UNKNOWN, "no"
    else:
        return
    yield wording(rng, wordings.WHICH_KIND, kind=kind), which
    yield wording(rng, wordings.ANY_KIND, kinds=wordings.KINDS_PLURAL[kind]), is_there


def anyone(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """Is anybody there?"""
    if "person" in known_labels(seen):
        yield wording(rng, wordings.ANYONE), "yes"
    elif seen.absent("person"):
        yield wording(rng, wordings.ANYONE), "no"


def in_or_out(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """Is it outdoors?"""
    outside = setting(seen).outdoors
    if outside is None or (outside and rng.random() < 0.65):  # most photographs are taken outdoors
        return
    for side in rng.sample(("outdoors", "indoors"), 1):
        yield wording(rng, wordings.IS_IT[side]), "yes" if outside == (side == "outdoors") else "no"
    first, second = rng.choice((("outdoors", "indoors"), ("outside", "inside")))
    either = wording(rng, wordings.IN_OR_OUT, one=first, other=second)
    yield either, first if outside else second


def where(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """Where was this taken? Is this a kitchen?"""
    known = setting(seen)
    if not known.place:
        return
    name, phrase = known.place
    yield wording(rng, wordings.TAKEN), phrase
    alike = [other for other in PLACES if other not in known.mentioned and (other in OUTDOORS) == (name in OUTDOORS)]
    for one, answer in ((name, "yes"), (rng.choice(alike), "no")):
        yield wording(rng, wordings.IS_PLACE, a=words.article(one)), answer


def room(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """What room is this?"""
    known = setting(seen)
    if known.place and known.place[0] in wordings.ROOMS:
        yield wording(rng, wordings.WHICH_ROOM), known.place[0]
    elif known.outdoors and rng.random() < 0.06:
        yield wording(rng, wordings.WHICH_ROOM), words.UNKNOWN


def day_or_night(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """Is it day or night?"""
    known = setting(seen)
    if known.night:
        answer = "night"
    elif known.outdoors and rng.random() < 0.1:  # who writes captions mentions the night
        answer = "day"
    else:
        return
    yield rng.choice(
        (
            (wording(rng, wordings.DAY_OR_NIGHT), answer),
            (wording(rng, wordings.IS_NIGHT), "yes" if answer == "night" else "no"),
            (wording(rng, wordings.IS_DAY), "yes" if answer == "day" else "no"),
        )
    )


def weather(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """What is the weather like?"""
    known = setting(seen)
    if known.weather:
        yield wording(rng, wordings.WHICH_WEATHER), known.weather
        other = rng.choice([one for one in dict.fromkeys(WEATHER.values()) if one != known.weather])
        for one, answer in rng.sample(((known.weather, "yes"), (other, "no")), 1):
            yield wording(rng, wordings.IS_WEATHER, weather=one), answer
    elif known.outdoors is False and rng.random() < 0.2:
        yield wording(rng, wordings.WHICH_WEATHER), words.UNKNOWN


def sport(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """What sport is this?"""
    text = " ".join(seen.photo.captions).lower()
    played = {name for word, name in SPORTS.items() if re.search(rf"\b{word}", text)}
    if len(played) == 1:
        yield wording(rng, wordings.WHICH_SPORT), played.pop()
    elif seen.photo.captions and not played and rng.random() < 0.06:
        yield wording(rng, wordings.WHICH_SPORT), words.UNKNOWN


def doing(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """What is he doing?"""
    matches = [match for text in seen.photo.captions if (match := DOING.match(text))]
    matches = [match for match in matches if match[4].lower() != "wearing"]
    if matches:
        match = rng.choice(matches)
        first, who, verb, rest = match[1].lower(), match[2].split()[-1].lower(), match[4].lower(), match[5].split()[:5]
        while rest and (rest[-1] in STOP or rest[-1] in wordings.ENDS):
            rest.pop()
        several = first not in ("a", "an", "the") or match[3] == "are"
        pronoun = "they" if several else wordings.PRONOUNS.get(who, "it")
        subject = rng.choice((f"the {who}", pronoun))
        question = wording(rng, wordings.DOING, be="are" if several else "is", who=subject)
        yield question, " ".join([verb, *rest])
    elif seen.absent("person") and rng.random() < 0.3:
        yield wording(rng, wordings.DOING, be="is", who=rng.choice(wordings.SOMEBODY)), words.UNKNOWN


def wearing(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """What is she wearing? What is he holding?"""
    for pattern, questions in ((WEARING, wordings.WEARING), (HOLDING, wordings.HOLDING)):
        captions = [text for text in seen.photo.captions if pattern.search(text)]
        if captions:
            text = rng.choice(captions)
            who = next((word for word in re.findall(r"\w+", text.lower()) if word in wordings.PRONOUNS), None)
            if who:
                subject = rng.choice((f"the {who}", wordings.PRONOUNS[who]))
                yield wording(rng, questions, who=subject), pattern.search(text)[1].lower()
        elif seen.absent("person") and rng.random() < 0.15:
            yield wording(rng, questions, who=rng.choice(wordings.SOMEBODY)), words.UNKNOWN


def colored(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """What colour is the bus? What colour is it?"""
    matched = colors_of(seen.photo.captions)
    boxes = seen.boxes()
    largest = max(boxes, key=lambda item: item[1][2] * item[1][3])[0] if boxes else None
    for thing, colors in matched.items():
        if len(colors) == 1 and thing in wordings.THINGS:
            alone = thing == largest and len(matched) == 1
            what = "it" if alone and rng.random() < 0.5 else f"the {thing}"
            yield wording(rng, wordings.WHICH_COLOR, what=what), colors.pop()
            return


def side(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """Is the dog on the left or on the right?"""
    boxes = seen.boxes()
    counts = Counter(label for label, _ in boxes)
    for label, (x, _, w, _) in rng.sample(boxes, len(boxes)):
        middle = x + w / 2
        if counts[label] == 1 and abs(middle - 0.5) > 0.12:
            answer = "left" if middle < 0.5 else "right"
            yield wording(rng, wordings.LEFT_OR_RIGHT, one=label), answer
            return


def main_thing(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """What is this?"""
    boxes = sorted(seen.boxes(), key=lambda item: -item[1][2] * item[1][3])
    if boxes and boxes[0][0] not in wordings.WHOLES and boxes[0][1][2] * boxes[0][1][3] > LARGE:
        yield wording(rng, wordings.WHAT_IS_IT), words.article(boxes[0][0])


def on_the_table(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """What is on the table?"""
    tables = [box for label, box in seen.boxes() if label == "dining table"]
    if tables:
        small = [
            label
            for label, box in seen.boxes()
            if label in wordings.ON_TABLES and any(_within(box, table) for table in tables)
        ]
        counts = Counter(small)
        parts = [words.article(one) if n == 1 else words.plural(one) for one, n in counts.most_common(3)]
        if parts:
            yield wording(rng, wordings.ON_TABLE), " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    elif seen.absent("dining table") and rng.random() < 0.05:
        yield wording(rng, wordings.ON_TABLE), words.UNKNOWN


def described(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """What do you see?"""
    if seen.photo.captions:
        yield wording(rng, words.DESCRIBE), rng.choice(seen.photo.captions)


def unknowable(seen: Seen, rng: random.Random) -> Iterable[Pair]:
    """Who is this? What does the sign say?"""
    if rng.random() < 0.25:
        yield wording(rng, wordings.UNKNOWABLE), words.UNKNOWN


def _within(box: tuple, table: tuple) -> bool:
    """Whether a thing stands on a table: their boxes meet, and it is the smaller."""
    return iou(box, table) > 0 and box[2] * box[3] < 0.5 * table[2] * table[3] and box[1] + box[3] > table[1]


MAKERS: tuple[Callable[[Seen, random.Random], Iterable[Pair]], ...] = (
    counted, of_a_kind, anyone, in_or_out, where, room, day_or_night, weather, sport, doing, wearing, colored, side,
    main_thing, on_the_table, described, unknowable,
)  # fmt: skip
