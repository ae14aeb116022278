"""What the bundled model's tokenizer learns from."""

import random
from collections.abc import Iterator

from train.icons import rendering
from vlm_demo import scenes
from vlm_demo.scenes.selection import selection_questions
from vlm_demo.scenes.world import GRID
from vlm_demo.tasks import TASKS


def corpus(samples: int = 4000) -> Iterator[str]:
    """Every wording that scenes produce, and every coordinate."""
    for step in range(GRID):
        yield from [f"{step / GRID:.3f}, ", f"{step / GRID:.3f}"] * 4
    for task in TASKS.values():
        yield from (f" {prompt}" for prompt in task.prompts.values())
    for seed in range(samples):
        scene = rendering.group("scenes", seed)
        yield from (f" {scene.caption(style, seed)}" for style in TASKS["caption"].prompts)
        yield f" {scene.detections_json()}"
        for qa in [*scene.questions(), *scene.chat()]:
            yield from (f" {qa.question}", f" {qa.answer}")
        pair, story = rendering.group("pairs", seed), rendering.group("stories", seed)
        yield from (f" {pair.change_text}", f" {pair.boxes_json}", f" {story.text}")
        for qa in selection_questions((scene, *pair.scenes[:1]), random.Random(seed)):
            yield from (f" {qa.question}", f" {qa.answer}")
        yield f" Image {seed % 8 + 1}: how many {scenes.LABELS[seed % 40]} in image {seed % 8 + 1}"
