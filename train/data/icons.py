"""Icon scenes (`vlm_demo.scenes`), drawn when they are needed: every task, with the exact truth."""

import random
from functools import partial
from typing import Any

from vlm_demo.scenes import Scene, make_pair, make_scene, make_selection, make_story
from vlm_demo.scenes.world import detections_json
from vlm_demo.tasks import TASKS

from .base import LazyExample, LazyImage, Source, chat

SIZE = 256  # pixels a side
# Far from the small seeds that people and benchmarks use, so that those scenes stay unseen.
FIRST_SEED = {"train": 1 << 41, "validation": 1 << 42, "test": 1 << 43}


class IconScenes(Source):
    """`count` chats about scenes on one task, or on all four tasks in rotation (`task` None).

    Training scenes never show the held-out combinations of colour and label.
    """

    def __init__(self, count: int, task: str | None = None, split: str = "train") -> None:
        super().__init__(f"icons/{split}")
        self.count, self.first = count, FIRST_SEED[split]
        self.tasks = [task] if task else list(TASKS)
        self.combos = "seen" if split == "train" else "any"

    def __len__(self) -> int:
        return self.count

    def lazy_example(self, index: int, epoch: int = 0) -> LazyExample:
        task, seed = self.tasks[index % len(self.tasks)], self.first + index
        rng = random.Random(f"{epoch} {seed}")
        scenes: tuple[Scene, ...] = (make_scene(seed, self.combos),)
        reference: dict[str, Any]
        if task == "caption":
            answer, question = scenes[0].caption(), TASKS["caption"].prompts["brief"]
            reference = {"captions": [scenes[0].caption("brief", variant) for variant in range(3)]}
        elif task == "detect":
            answer, question, objects = scenes[0].detections_json(), "", scenes[0].objects
            reference = {"labels": [item.label for item in objects], "boxes": [list(item.bbox) for item in objects]}
        elif task == "vqa":
            asked = rng.choice(scenes[0].questions(rng.getrandbits(40)))
            question, answer, reference = asked.question, asked.answer, {"answers": [asked.answer]}
        else:
            scenes, question, answer = several(seed, self.combos, rng)
            reference = {"answer": answer}
        images = tuple(self._image(scene) for scene in scenes)
        return LazyExample(task, images, chat(task, question, answer), reference, self.row_name(index))

    def _image(self, scene: Scene) -> LazyImage:
        content = f"{scene.seed} {scene.setting} {detections_json(list(scene.items))} {[i.color for i in scene.items]}"
        return LazyImage(f"icons {SIZE} {content}", partial(scene.image, SIZE))


def several(seed: int, combos: str, rng: random.Random) -> tuple[tuple[Scene, ...], str, str]:
    """Scenes of a pair, a which-image question or a story, with question and answer."""
    prompts = TASKS["compare"].prompts
    kind = seed % 4
    if kind == 0:
        chosen = make_selection(seed, combos)
        return chosen.scenes, chosen.qa.question, chosen.qa.answer
    if kind == 1:
        story = make_story(seed, combos)
        return story.scenes, prompts["story"], story.text
    pair = make_pair(seed, combos=combos)
    return pair.scenes, *rng.choice([(prompts["change"], pair.change_text), (prompts["boxes"], pair.boxes_json)])
