"""Which of several scenes? Questions in plain words, each with exactly one right image."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from .asking import QA
from .language import PLACES, article
from .world import Scene, make_scene


@dataclass(frozen=True)
class Selection:
    """Two to four scenes, a question about which of them, and its answer."""

    scenes: tuple[Scene, ...]
    qa: QA


def selection_questions(scenes: tuple[Scene, ...], rng: random.Random) -> list[QA]:
    """Questions about which of several scenes, each with exactly one right image."""
    qas = []

    def ask(holds: Callable[[Scene], bool], kind: str, *wordings: str) -> None:
        hits = [number for number, scene in enumerate(scenes, 1) if holds(scene)]
        if len(hits) == 1:
            qas.append(QA(rng.choice(wordings), f"Image {hits[0]}.", f"which image: {kind}"))

    for item in (item for scene in scenes for item in scene.objects):
        for kind, words in (("label", item.label), ("look", item.name)):
            what = article(words)
            ask(
                lambda scene, words=words: any(words in (other.label, other.name) for other in scene.objects),
                kind,
                f"Which image shows {what}?",
                f"Which picture shows {what}?",
                f"In which image is there {what}?",
                f"Which image has {what}?",
            )
    for setting in dict.fromkeys(scene.setting for scene in scenes):
        where = PLACES[setting]
        ask(
            lambda scene, setting=setting: scene.setting == setting,
            "setting",
            f"Which image is {where}?",
            f"Which image was taken {where}?",
        )
    counts = [len(scene.objects) for scene in scenes]
    for word, best in (("most", max(counts)), ("fewest", min(counts))):
        ask(
            lambda scene, best=best: len(scene.objects) == best,
            "number",
            f"Which image has the {word} objects?",
            f"Which image shows the {word} things?",
        )
    return qas


def make_selection(seed: int, combos: str = "any") -> Selection:
    """Two to four scenes and a question about which of them."""
    rng = random.Random(f"selection {seed} {combos}")
    while True:
        scenes = tuple(make_scene(rng.getrandbits(40), combos) for _ in range(rng.randint(2, 4)))
        asked = selection_questions(scenes, rng)
        if asked:
            return Selection(scenes, rng.choice(asked))
