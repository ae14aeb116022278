"""Detection of what is named, and naming of what is pointed at, on unseen icon scenes."""

import random

from train.evaluation.metrics import matches, same_words, share
from train.evaluation.scenes import SIDE, run_all
from vlm_demo import scenes
from vlm_demo.engine import Engine
from vlm_demo.scenes.everyday.across import NONE, which
from vlm_demo.scenes.everyday.named import expressions, jittered, named


def measure_pointing(engine: Engine, count: int, seed: int) -> dict[str, float]:
    """Shares that are right: boxes of what is named (every one, and no other), "none found" where it is not there,
    words for what is in a box drawn by hand, and "None of them." where no image shows what is asked for."""
    unseen = [scenes.make_scene(seed + k) for k in range(count)]
    rng = random.Random(seed)
    asked = [(scene, *named(scene, rng)) for scene in unseen]
    right: dict[bool, list[bool]] = {True: [], False: []}
    for (_, _, wanted), result in run_all(
        asked, lambda job: engine.detect(job[0].image(SIDE), what=job[1]), "what is named"
    ):
        hits = matches(result, [(item.label, item.bbox) for item in wanted])
        right[bool(wanted)].append(len(result.parsed.objects) == len(wanted) == hits)
    pointed = [(scene, item, jittered(item.bbox, rng)) for scene in unseen for item in [rng.choice(scene.objects)]]
    words = [
        any(same_words(result.text, text) for text in expressions(scene, item))
        for (scene, item, _), result in run_all(
            pointed, lambda job: engine.describe_box(job[0].image(SIDE), job[2]), "words for boxes"
        )
    ]
    nowhere = []
    for k in range(count):
        members = tuple(scenes.make_scene(seed + count + 3 * k + n) for n in range(2 + k % 2))
        questions = [qa for qa in which(members, rng) if qa.answer == NONE]
        nowhere.append((members, rng.choice(questions)))
    none = [
        same_words(result.text, NONE)
        for _, result in run_all(
            nowhere,
            lambda job: engine.compare([scene.image(SIDE) for scene in job[0]], job[1].question),
            "none of them",
        )
    ]
    return {
        "named": share(right[True]),
        "n_named": len(right[True]),
        "named_absent": share(right[False]),
        "n_named_absent": len(right[False]),
        "words_for_box": share(words),
        "n_words_for_box": len(words),
        "none_of_them": share(none),
        "n_none_of_them": len(none),
    }
