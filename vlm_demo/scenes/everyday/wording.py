"""Wordings of everyday questions: `wordings/*.txt` hold them, one a line, under the name of what they ask.

A line is a template of `say`: `{slots}` are filled in first (by `COMMON` and by the caller), then `(a|b|)` chooses.
"""

import random
from pathlib import Path

from ..grammar import say
from .vocabulary import PICTURE

FOLDER = Path(__file__).with_name("wordings")
SEEN = (
    f"(do you see|can you see|are there|are in the {PICTURE}|are there in the {PICTURE}|are shown|are visible|"
    "can be seen)"
)
COMMON = {  # slots that every wording may use
    "picture": PICTURE,
    "seen": SEEN,  # behind "How many cats"
    "in_it": f"(|||in (the|this) {PICTURE}|in (the|this) {PICTURE}|here)",
    "any": "(Is there|Are there|Do you see|Can you see|Can I see|Do we see|Does this show|Is there maybe)",
    "thing": "(thing|object|one|icon)",
    "things": "(things|objects|items|icons)",
}


def read_wordings(path: Path) -> dict[str, list[str]]:
    """The lines of a file by section: `[name]` begins one, `#` a comment."""
    wordings: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            lines = wordings.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return wordings


WORDINGS = {name: lines for path in sorted(FOLDER.glob("*.txt")) for name, lines in read_wordings(path).items()}


def word(rng: random.Random, name: str, /, **slots: str) -> str:
    """One wording of what is asked, with its slots filled."""
    return say(rng, rng.choice(WORDINGS[name]).format(**COMMON, **slots))
