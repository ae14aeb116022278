"""How people type requests: contractions, capitals, marks, shortened words and mistakes."""

import random
import re

# Ways in which people shorten words when they type.
_SHORT = {
    "you": "u", "are": "r", "please": "plz", "what": "wat", "the": "da", "picture": "pic", "because": "cuz",
    "with": "w", "and": "n", "for": "4", "to": "2", "there": "ther", "where": "wher", "which": "wich", "is": "s",
    "your": "ur", "about": "abt", "this": "dis", "people": "ppl", "image": "img", "see": "c", "between": "btw",
    "know": "kno", "color": "colr", "colour": "color", "photo": "foto", "describe": "desc", "something": "smth",
    "be": "b", "different": "diff", "difference": "diff", "animal": "aminal", "what is": "whats", "it is": "its",
}  # fmt: skip
_NEIGHBOURS = {
    a: b for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm") for a, b in zip(row, row[1:] + row[0], strict=True)
}


def typed(text: str, r: random.Random) -> str:
    """Spaces, capitals and marks as typed; contractions; in a part of the texts shortened words and mistakes."""
    text = re.sub(r"[ \t]+", " ", text).strip() if text.strip() else text
    text = re.sub(r" (?=[,.;?!])", "", text)
    if r.random() < 0.55:
        text = re.sub(r"\b(what|who|where|that|it|there|how|he|she) (is)\b", r"\1's", text)
    if r.random() < 0.25:
        text = text.replace("'", "")
    if r.random() < 0.45 and text and text[-1].isalnum():
        text += r.choice(("?", ".", "!", "?", ".", "..", "??", " ?", "?!"))
    if r.random() < 0.1:
        text = re.sub(r"[,.;!?]", "", text)
    if r.random() < 0.08:
        text = " ".join(_SHORT.get(w, w) if r.random() < 0.6 else w for w in text.split(" "))
    if r.random() < 0.2:
        text = mistype(text, r)
    return text


def mistype(text: str, r: random.Random) -> str:
    """The text with some mistakes: letters swapped, left out, doubled, a neighbouring key, words run together."""
    rate = r.choice((0.1, 0.2, 0.4))
    words = text.split(" ")
    for i, word in enumerate(words):
        if len(word) < 3 or r.random() > rate:
            continue
        at = r.randrange(len(word) - 1)
        a, b = word[at], word[at + 1]
        words[i] = (
            word[:at]
            + r.choice((b + a, b + a, a, b, a + a + b, _NEIGHBOURS.get(a, a) + b, a + " " + b))
            + word[at + 2 :]
        )
    joined = r.randrange(len(words)) if len(words) > 2 and r.random() < 0.2 else None
    return " ".join(words) if joined is None else " ".join(words[:joined]) + " ".join(words[joined:])
