"""Looks through what people overruled in the app: python -m train.router.review [--corrections runs/corrections.jsonl]

Each correction is shown and accepted (y) or thrown away (n); q leaves the rest for another time. The router trains on
what was accepted, and on nothing else: anybody who can open the page can send corrections.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from train.router.phrases import ACCEPTED, Phrase, parse_correction

KEYS = ("y", "n", "q")


def review(waiting: Path, accepted: Path, ask: Callable[[Phrase], str]) -> int:
    """Put what `ask` answers "y" to into `accepted`, keep what follows a "q" in `waiting`; returns how many waited.

    The app may go on recording meanwhile.
    """
    taken = waiting.with_suffix(".reviewing")  # an interrupted review has left it
    if waiting.exists():
        with taken.open("a", encoding="utf-8") as file:
            file.write(waiting.read_text(encoding="utf-8"))
        waiting.unlink()
    if not taken.exists():
        return 0
    lines = taken.read_text(encoding="utf-8").splitlines(keepends=True)
    left = list(lines)
    try:
        while left:
            answer = _answer(left[0], ask)
            if answer == "q":
                break
            if answer == "y":
                with accepted.open("a", encoding="utf-8") as file:
                    file.write(left[0])
            left.pop(0)
    finally:
        with waiting.open("a", encoding="utf-8") as file:
            file.writelines(left)
        os.unlink(taken)
    return len(lines)


def _answer(line: str, ask: Callable[[Phrase], str]) -> str:
    try:
        return ask(parse_correction(line))
    except ValueError as error:
        print(f"Thrown away: {error}")
        return "n"


def ask_in_terminal(phrase: Phrase) -> str:
    """What the owner says to a correction."""
    print(f"\n{phrase.text}\n  with {phrase.n_images} images, means: {', '.join(sorted(phrase.tasks)) or 'nothing'}")
    while (answer := input("Accept? [y/n/q] ").strip().lower()) not in KEYS:
        pass
    return answer


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corrections", type=Path, default=Path("runs/corrections.jsonl"), help="JSONL from the app")
    parser.add_argument("--accepted", type=Path, default=ACCEPTED, help="where the accepted ones go")
    args = parser.parse_args()
    print(f"{review(args.corrections, args.accepted, ask_in_terminal)} corrections had been waiting.")


if __name__ == "__main__":
    main()
