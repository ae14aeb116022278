"""Training requests for the router, drawn from a grammar.

The templates are in two text files, `grammar.txt` (how requests are built) and `words.txt` (the
vocabulary). This module reads them, expands them at random, joins several requests into one, puts small talk around
them and adds typing mistakes. A fixed part of the templates and of the vocabulary is kept for validation only.
"""

import math
import random
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from train.router.phrases import FOLDER, Phrase
from train.router.typing import typed
from vlm_demo.tasks import TASKS

HELD_OUT = 10  # one template and one word in this many is kept for validation

_CHOICE = re.compile(r"\(([^()]*)\)")
_TIMES = re.compile(r"^(\d+)\* ")
_SLOT = re.compile(r"\{([a-z0-9-]+)(\+s)?\}")
_ARTICLE = re.compile(r"\b(a|A) (?=[aeio]|u(?!n[ai]|s[ae]))")

_IRREGULAR = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "mouse": "mice", "goose": "geese",
    "sheep": "sheep", "deer": "deer", "fish": "fish", "moose": "moose", "foot": "feet", "tooth": "teeth",
    "ox": "oxen", "wolf": "wolves", "calf": "calves", "knife": "knives", "leaf": "leaves", "loaf": "loaves",
    "shelf": "shelves", "scarf": "scarves", "bookcase": "bookcases", "policeman": "policemen",
    "fisherman": "fishermen", "snowman": "snowmen", "shrimp": "shrimps", "dice": "dice", "scissors": "scissors",
    "glasses": "glasses", "sunglasses": "sunglasses", "headphones": "headphones", "binoculars": "binoculars",
    "stairs": "stairs", "trousers": "trousers", "jeans": "jeans", "shorts": "shorts", "corn": "corn",
    "bread": "bread", "rice": "rice", "pasta": "pasta", "butter": "butter", "grass": "grass", "broccoli": "broccoli",
    "lightning": "lightning", "smoke": "smoke", "snow": "snow",
}  # fmt: skip


def plural(noun: str) -> str:
    """The plural of a noun of the vocabulary, by rule or from the table of irregular ones."""
    head, _, last = noun.rpartition(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif re.search(r"(s|x|z|ch|sh)$", last):
        last += "es"
    elif re.search(r"[^aeiou]y$", last):
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{head} {last}".strip()


def _read_sections(path: Path) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            lines = sections[line[1:-1]] = []
        elif line.strip() and not line.startswith("# "):
            lines.append(line)
    return sections


def _times(template: str) -> int:
    match = _TIMES.match(template)
    return int(match[1]) if match else 1


def _kept_for_validation(text: str) -> bool:
    return zlib.crc32(text.encode()) % HELD_OUT == 0 and not _TIMES.match(text)  # the plainest forms are for training


class Grammar:
    """Draws requests. `part` is "train", "validation" (held-out templates and nouns only) or "all"."""

    TOP = ("caption", "detect", "vqa", "compare", "none")
    NOUNS = ("animal", "person", "vehicle", "object", "food", "place")

    def __init__(self, seed: int, part: str = "all") -> None:
        self.random = random.Random(seed)
        self.slots = _read_sections(FOLDER / "grammar.txt")
        words = _read_sections(FOLDER / "words.txt")
        self.words = {
            name: [w.replace("_", " ") for line in lines for w in line.split()] for name, lines in words.items()
        }
        if part != "all":
            keep = part == "validation"
            for name in self.NOUNS:
                self.words[name] = [w for w in self.words[name] if _kept_for_validation(w) == keep]
            for name in self.TOP:
                self.slots[name] = [t for t in self.slots[name] if _kept_for_validation(t) == keep]
        # A template with many choices in it says more, and is drawn more often.
        self.weights = {
            name: [_times(t) * (1 + math.log2(1 + t.count("|") + t.count("{"))) for t in templates]
            for name, templates in self.slots.items()
        }
        self.slots = {name: [_TIMES.sub("", t) for t in templates] for name, templates in self.slots.items()}

    def phrases(self, count: int) -> Iterator[Phrase]:
        """`count` requests, one after the other."""
        for _ in range(count):
            yield self.phrase()

    def phrase(self) -> Phrase:
        """One request of a random sort, dressed as people dress them."""
        kind = self.random.choices(("one", "several", "none"), (62, 17, 21))[0]
        if kind == "none":
            text, tasks, n_images = self._none(), frozenset(), self._image_count(0.15)
        elif kind == "one":
            text, tasks, n_images = self._one()
            text = self._dress(text)
        else:
            text, tasks, n_images = self._several()
            text = self._dress(text)
        return Phrase(typed(text, self.random), n_images, tasks)

    def retyped(self, phrase: Phrase) -> Phrase:
        """A given request as somebody else might type it."""
        return Phrase(typed(phrase.text, self.random), phrase.n_images, phrase.tasks)

    # -- the sorts of requests

    def _image_count(self, several: float) -> int:
        return self.random.randint(2, 4) if self.random.random() < several else 1

    def _none(self) -> str:
        if self.random.random() < 0.12:
            return self._noise()
        text = self.fill("none")
        if self.random.random() < 0.12:
            text += self.random.choice((" ", ", ", ". ", "! ")) + (
                self.fill("none") if self.random.random() < 0.5 else self.fill("after")
            )
        if self.random.random() < 0.06:
            text = self.fill("ramble") + self.random.choice((" ", ", ", ". ")) + text
        return text

    def _noise(self) -> str:
        """Keys hit at random, runs of one letter or sign, emoji, nothing at all."""
        r = self.random
        row = r.choice(
            ("qwertyuiop", "asdfghjkl", "zxcvbnm", "asdfjkl;", "abcdefghijklmnopqrstuvwxyz", "qwertyasdfzxcv")
        )
        sort = r.randrange(7)
        if sort == 0:
            return " ".join("".join(r.choices(row, k=r.randint(2, 9))) for _ in range(r.randint(1, 4)))
        if sort == 1:
            start = r.randrange(len(row) - 2)
            return row[start : start + r.randint(3, 10)] * r.randint(1, 2)
        if sort == 2:
            return r.choice("abcdefghijklmnopqrstuvwxyz?!.,-*#0123456789") * r.randint(1, 9)
        if sort == 3:
            return "".join(r.choices("?!.,;:-_*#+/()[]{}<>@$%&=~^\"'", k=r.randint(0, 7)))
        if sort == 4:
            blocks = ((0x1F600, 80), (0x1F400, 60), (0x2600, 100), (0x1F300, 90), (0x1F44A, 30))
            return "".join(chr(base + r.randrange(size)) for base, size in r.choices(blocks, k=r.randint(1, 4)))
        if sort == 5:
            return " ".join(self.pseudo_word() for _ in range(r.randint(1, 3)))
        return r.choice(("", " ", ":)", ":-)", ";)", "<3", ":D", "xD", "^^", ":(", "...", "???", "n/a", "-", "\n"))

    def _one(self) -> tuple[str, frozenset[str], int]:
        task = self.random.choices(list(TASKS), (14, 17, 23, 16))[0]
        n_images = self._image_count(0.75 if task == "compare" else 0.2)
        return self._request(task, n_images), frozenset({task}), n_images

    def _request(self, task: str, n_images: int) -> str:
        special = f"{task}-many" if n_images > 1 else f"{task}-one"
        if special in self.slots and self.random.random() < (0.12 if special == "vqa-one" else 0.3):
            return self.fill(special)
        return self.fill(task)

    def _several(self) -> tuple[str, frozenset[str], int]:
        r = self.random
        n_images = self._image_count(0.25)
        names = [n for n in TASKS if n != "compare" or n_images > 1 or r.random() < 0.1]
        tasks = r.sample(names, 3 if r.random() < 0.15 else 2)
        if r.random() < 0.12:
            nouns = [self.fill(f"{t}-noun") if f"{t}-noun" in self.slots else self.fill("capnoun") for t in tasks]
            lead = self.fill("give") + " " if r.random() < 0.7 else ""
            sep = r.choice((" and ", " plus ", ", ", " & ", " as well as ", " + ", " and also ", " with "))
            return lead + sep.join(nouns), frozenset(tasks), n_images
        text = self._request(tasks[0], n_images)
        for task in tasks[1:]:
            tail = f"{task}-tail"
            follow = self.fill(tail) if tail in self.slots and r.random() < 0.45 else self._request(task, n_images)
            if r.random() < 0.1:
                follow = self.fill("before") + " " + follow
            text = text.rstrip() + self.fill("join") + follow
        return text, frozenset(tasks), n_images

    # -- filling templates

    def pseudo_word(self) -> str:
        """A word that does not exist, so that names of unknown things teach nothing."""
        r = self.random
        onsets = "b br c ch cl d dr f fl g gr h j k l m n p pl pr qu r s sh sk st t tr v w z".split()
        return "".join(r.choice(onsets) + r.choice("aeiouaeio") for _ in range(r.randint(1, 3))) + r.choice(
            ["", "n", "t", "l", "x", "r", "ck", "ng", "sh"]
        )

    def fill(self, slot: str) -> str:
        """A random expansion of a slot; choices and slots within are expanded too."""
        if slot in self.words:
            if slot in self.NOUNS and self.random.random() < 0.06:
                return self.pseudo_word()
            return self.random.choice(self.words[slot])
        text = self.random.choices(self.slots[slot], self.weights[slot])[0]
        while "(" in text:
            text, count = _CHOICE.subn(lambda m: self.random.choice(m[1].split("|")), text)
            if not count:
                break
        text = _SLOT.sub(lambda m: plural(self.fill(m[1])) if m[2] else self.fill(m[1]), text)
        return _ARTICLE.sub(r"\1n ", text) if slot in self.TOP else text

    # -- how people write

    def _dress(self, text: str) -> str:
        r = self.random
        if r.random() < 0.3:
            text = self.fill("before") + " " + text
            if r.random() < 0.15:
                text = self.fill("before") + " " + text
        if r.random() < 0.15:
            text += r.choice((" ", " ", ", ", ". ", "? ")) + self.fill("after")
        elif r.random() < 0.05:
            text += r.choice((", ", ". ", "? ", " because ", ", because ")) + self.fill("ramble")
        return text
