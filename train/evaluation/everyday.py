"""Everyday wordings that no training template makes: python -m train.evaluation.everyday [--model FOLDER] [--each 3]

Each wording in `everyday_test.txt` is asked about several unseen scenes, as the page would ask it in Chat, alone and
behind other questions, and compared with the scene's reference. Prints the share that is right, by kind, and how well
the notice for unfamiliar questions separates wrong answers from right ones. `everyday_development.txt` is for choices,
and for fitting the notice.
"""

import argparse
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from train.evaluation.metrics import plain_answer, share
from train.evaluation.references import REFERENCES, Answers, OfTwo, Reference
from train.evaluation.scenes import SIDE, run_all
from vlm_demo.engine import ICONS, Engine, Result
from vlm_demo.scenes import COLORS, LABELS, Scene, make_pair, make_scene
from vlm_demo.scenes.everyday.vocabulary import FOREIGN, many
from vlm_demo.scenes.everyday.wording import read_wordings
from vlm_demo.scenes.language import plural

Split = Literal["development", "test"]
WORDINGS: dict[Split, dict[str, list[str]]] = {
    split: read_wordings(Path(__file__).with_name(f"everyday_{split}.txt")) for split in get_args(Split)
}
FIRST_SEED = 1 << 44  # scenes that neither training nor any other measurement sees
TURNS = 3  # asked before a question, where it is asked within a conversation


_NAMES = sorted({*LABELS, *map(plural, LABELS), *COLORS, *FOREIGN, *map(many, FOREIGN)}, key=len, reverse=True)
_NAMED = re.compile(rf"\b({'|'.join(_NAMES)})\b|\d+|\{{\w+\}}")


def generic(text: str) -> str:
    """A wording without its marks and without the things, colours and numbers that it names."""
    return " ".join(re.findall(r"[a-z0-9*]+", re.sub(r"\ban (?=\*)", "a ", _NAMED.sub("*", text.lower()))))


HELD_OUT = frozenset(
    generic(wording) for kinds in WORDINGS.values() for wordings in kinds.values() for wording in wordings
)


def is_held_out(question: str) -> bool:
    """Whether a question is in a held-out wording, whatever it asks about: training must not ask it."""
    return generic(question) in HELD_OUT


@dataclass(frozen=True)
class Everyday:
    """A question in everyday words about one or two scenes, with the answers that are right."""

    scenes: tuple[Scene, ...]
    question: str
    answers: Answers
    kind: str
    wording: str


def is_right(prediction: str, answers: Answers) -> bool:
    """Whether an answer says what one of the right ones says; the parts of a list may stand in any order."""
    return any(_parts(prediction) == _parts(answer) for answer in answers)


def _parts(text: str) -> list[str]:
    return sorted(filter(None, map(plain_answer, re.split(r", | and |\. ", text.rstrip(".")))))


def ask(kind: str, wording: str, seed: int) -> Everyday:
    """A wording asked about the first scenes from a seed on that allow it."""
    rng = random.Random(f"{kind} {wording} {seed}")
    while True:
        scene_seed = FIRST_SEED + rng.getrandbits(30)
        scenes, truth = _changed(scene_seed) if kind == "change" else _shown(kind, scene_seed, rng)
        if truth is not None:
            slots, answers = truth
            question = re.sub(r"\ba (?=[aeiou])", "an ", wording.format(**slots))
            return Everyday(scenes, question, answers, kind, wording)


def _shown(kind: str, seed: int, rng: random.Random) -> tuple[tuple[Scene, ...], Reference]:
    reference = REFERENCES[kind]
    if isinstance(reference, OfTwo):
        scenes = (make_scene(seed), make_scene(seed + 1))
        return scenes, reference.function(scenes, rng)
    scene = make_scene(seed)
    return (scene,), reference(scene, rng)


def _changed(seed: int) -> tuple[tuple[Scene, ...], Reference]:
    pair = make_pair(seed)
    return pair.scenes, ({}, [pair.change_text]) if pair.changes else None


def everyday_questions(split: Split, each: int, seed: int = 0) -> list[Everyday]:
    """Every wording of a split, each asked about so many scenes."""
    return [
        ask(kind, wording, seed + k)
        for kind, wordings in WORDINGS[split].items()
        for wording in wordings
        for k in range(each)
    ]


def answers(engine: Engine, asked: Sequence[Everyday], turns: int = 0) -> list[tuple[Everyday, Result, bool]]:
    """What the engine says to each question in Chat, behind so many questions about the same scene with right answers,
    and whether it is right."""

    def call(one: Everyday) -> Result:
        history = [(qa.question, qa.answer) for qa in one.scenes[0].questions()[:turns]]
        return engine.answer([scene.image(SIDE) for scene in one.scenes], one.question, history)

    return [(one, result, is_right(result.text, one.answers)) for one, result in run_all(list(asked), call, "everyday")]


def measure_everyday(engine: Engine, each: int, seed: int = 0) -> dict:
    """The share that is right, in all, within a conversation (about one scene) and by kind; and what the notice flags
    among wrong and right answers."""
    asked = everyday_questions("test", each, seed)
    answered = answers(engine, asked)
    in_chat = answers(engine, [one for one in asked if len(one.scenes) == 1], TURNS)
    by_kind: dict[str, list[bool]] = {}
    for one, _, right in answered:
        by_kind.setdefault(one.kind, []).append(right)
    return {
        "everyday": share([right for _, _, right in answered]),
        "n_everyday": len(answered),
        "n_wordings": len({one.wording for one in asked}),
        "everyday_in_chat": share([right for _, _, right in in_chat]),
        "n_everyday_in_chat": len(in_chat),
        "unfamiliar": shares_flagged([(result.unfamiliar, right) for _, result, right in answered]),
        "everyday_by_kind": {
            kind: {"accuracy": round(share(hits), 4), "n": len(hits)} for kind, hits in by_kind.items()
        },
    }


def shares_flagged(answered: Sequence[tuple[bool, bool]]) -> dict[str, float]:
    """Of pairs (flagged, right): the shares flagged among wrong and among right answers, with their numbers."""
    hits = {right: [flagged for flagged, ok in answered if ok == right] for right in (True, False)}
    return {
        "wrong_flagged": share(hits[False]),
        "n_wrong": len(hits[False]),
        "right_flagged": share(hits[True]),
        "n_right": len(hits[True]),
    }


def main() -> None:
    """Print the figures, and with --wrong every wrong answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(ICONS))
    parser.add_argument("--each", type=int, default=3, help="scenes for each wording")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="auto", help="as of app.py")
    parser.add_argument("--wrong", action="store_true", help="show wrong answers to the development wordings")
    args = parser.parse_args()
    engine = Engine(args.model, dtype=args.dtype)
    if args.wrong:
        for one, result, right in answers(engine, everyday_questions("development", args.each, args.seed)):
            if not right:
                print(f"{one.kind}: {one.question} -> {result.text} (right: {one.answers[0]})")
    else:
        print(json.dumps(measure_everyday(engine, args.each, args.seed), indent=2))
    engine.close()


if __name__ == "__main__":
    main()
