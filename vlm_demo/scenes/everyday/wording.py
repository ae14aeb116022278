"""Wordings of everyday questions: `wordings/*.txt` hold them, one a line, under the name of what they ask.

A line is a template of `say`: `{slots}` are filled in first (by `COMMON` and by the caller), then `(a|b|)` chooses.
"""

import random
from pathlib import Path

from ..grammar import say
from .vocabulary import PICTURE

FOLDER = Path(__file__).with_name("wordings")
PIC = f"({PICTURE}|{PICTURE}|drawing|pic|view|illustration)"
SEEN = (
    f"(do you see|can you see|are there|are in the {PICTURE}|are there in the {PICTURE}|are shown|are visible|"
    "can be seen)"
)
LOOKING = "Do you see|Can you see|Can I see|Do we see|Does this show|Have you found"
COMMON = {  # slots that every wording may use
    "picture": PICTURE,
    "pic": PIC,
    "seen": SEEN,  # behind "How many cats"
    "in_it": f"(|||in (the|this) {PIC}|in (the|this) {PICTURE}|here)",
    "is_there": f"(Is there|Is there|Is there maybe|{LOOKING})",
    "are_there": f"(Are there|Are there|{LOOKING})",
    "thing": "(thing|object|one|icon)",
    "things": "(things|objects|items|icons)",
    "colour": "(colour|colour|color)",
    "colours": "(colours|colours|colors)",
    "spot": "(see|see|find|spot|notice|make out|discover|come across|detect|recognise)",
    "show": "(show|show|contain|have|feature|include|depict|hold)",
    "shows": "(shows|shows|contains|has|features|includes|depicts|holds)",
    "ask": "(Could you|Can you|Would you|Could you please|Can you please|Please could you|Will you)",  # "count them?"
    "tell": (  # "how many there are."
        "(Tell me|Please tell me|Just tell me|Let me know|I want to know|I'd like to know|I need to know|"
        "I have to know|Find out|Work out)"
    ),
    "know": (  # "how many there are?"
        "(Do you know|Do you happen to know|Can you tell me|Could you tell me|Could you please tell me|"
        "Would you tell me|Would you mind telling me|Can you work out|Can you say|May I ask|Could you find out)"
    ),
    "wonder": "(I wonder|I was wondering|I'm wondering|I'm curious|I'm not sure|I have no idea)",  # as "tell"
    "lead": (  # a question in small letters follows
        "(Quick question:|Next question:|Question:|For my homework:|I need this for my list:|My little sister asks:|"
        "Look closely:|Now look carefully:|Help me out:|One more:|Hey,|Hi,|Hello,|OK,|So,|Well,|Right,|And|Sorry,|"
        "Excuse me,|Please,|Now,)"
    ),
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
