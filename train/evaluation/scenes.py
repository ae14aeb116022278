"""What a model is worth on unseen icon scenes, every answer compared with the exact truth of the scene."""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from supervision.metrics import MeanAveragePrecision
from tqdm import tqdm

from train.evaluation.metrics import is_json_object, matches, said_boxes, same_words, share
from vlm_demo import scenes
from vlm_demo.detection.library import sv
from vlm_demo.engine import Engine, Result
from vlm_demo.scenes.language import NUMBERS, PLACES, plural

SIDE = 512  # pixels of a picture, as the page draws it
QUESTIONS = 8  # asked of each scene, of different kinds
GROUP = re.compile(r"\b(an?|" + "|".join(NUMBERS[2:]) + rf") ({'|'.join(scenes.COLORS)}) (\w+)", re.IGNORECASE)
SINGULAR = {word: label for label in scenes.LABELS for word in (label, plural(label))}


def read_caption(text: str) -> tuple[Counter[tuple[str, str]], str | None]:
    """Objects of a caption, (colour, label) -> number, and its setting; what it does not say plainly does not count."""
    objects: Counter[tuple[str, str]] = Counter()
    for number, color, word in GROUP.findall(text):
        count = 1 if number.lower() in ("a", "an") else NUMBERS.index(number.lower())
        objects[color.lower(), SINGULAR.get(word, word)] += count
    named = [setting for setting, place in PLACES.items() if place in text.lower()]
    return objects, named[0] if len(named) == 1 else None


def true_boxes(scene: scenes.Scene) -> sv.Detections:
    """The scene's objects in pixels of the drawn picture."""
    xywh = np.array([item.bbox for item in scene.objects]) * SIDE
    return sv.Detections(
        xyxy=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1),
        class_id=np.array([scenes.LABELS.index(item.label) for item in scene.objects]),
    )


def run_all(jobs: list, call, what: str) -> Iterator[tuple[object, Result]]:  # noqa: ANN001
    """Results of `call(job)` for all jobs, many at a time, so that the engine can batch them."""
    with ThreadPoolExecutor(32) as pool:
        yield from tqdm(zip(jobs, pool.map(call, jobs), strict=True), total=len(jobs), desc=what, mininterval=5)


def measure_scenes(engine: Engine, made: list[scenes.Scene], what: str) -> dict[str, float]:
    """Detection and brief captions of some scenes."""
    picture = {scene.seed: scene.image(SIDE) for scene in made}
    hits = said = true = 0
    valid, correct, setting, truths, predictions = [], [], [], [], []
    for scene, result in run_all(made, lambda s: engine.detect(picture[s.seed]), f"{what}: detect"):
        found, truth = said_boxes(result, scenes.LABELS), true_boxes(scene)
        hits += matches(result, [(item.label, item.bbox) for item in scene.objects])
        said, true = said + len(found), true + len(truth)
        valid.append(is_json_object(result.text))
        truths.append(truth)
        predictions.append(found)
    for scene, result in run_all(made, lambda s: engine.caption(picture[s.seed]), f"{what}: caption"):
        objects, named = read_caption(result.text)
        correct.append(objects == Counter((item.color, item.label) for item in scene.objects))
        setting.append(named == scene.setting)
    score = MeanAveragePrecision().update(predictions, truths).compute()
    return {
        "detection_f1": 2 * hits / (said + true),
        "map50": float(score.map50),
        "map50_95": float(score.map50_95),
        "json_valid": share(valid),
        "caption_objects": share(correct),
        "caption_setting": share(setting),
        "objects": true,
    }


def measure_questions(engine: Engine, made: list[scenes.Scene]) -> tuple[float, dict[str, dict[str, float]], int]:
    """VQA: overall accuracy, accuracy and count for each kind of question, number of questions."""
    jobs = []
    for scene in made:
        found = scene.questions()
        random.Random(scene.seed).shuffle(found)
        picked = {qa.kind: qa for qa in found}  # one of a kind
        kinds = random.Random(scene.seed).sample(list(picked), min(QUESTIONS, len(picked)))
        image = scene.image(SIDE)
        jobs += [(image, [picked[kind]], picked[kind].kind) for kind in kinds]
        chat = scene.chat()
        jobs.append((image, chat, "follow-up"))
    by_kind: dict[str, list[bool]] = {}

    def ask(job: tuple) -> Result:
        image, turns, _ = job
        return engine.answer(image, turns[-1].question, history=[(qa.question, qa.answer) for qa in turns[:-1]])

    for (_, turns, kind), result in run_all(jobs, ask, "questions"):
        by_kind.setdefault(kind, []).append(same_words(result.text, turns[-1].answer))
    every = [hit for hits in by_kind.values() for hit in hits]
    detail = {kind: {"accuracy": round(share(hits), 4), "n": len(hits)} for kind, hits in sorted(by_kind.items())}
    return share(every), detail, len(every)


def measure_several(engine: Engine, count: int, seed: int) -> dict[str, float]:
    """Pairs with a change, which-image questions and stories."""
    pairs = [pair for pair in (scenes.make_pair(seed + k) for k in range(count)) if pair.changes]
    selections = [scenes.make_selection(seed + k) for k in range(count)]
    stories = [scenes.make_story(seed + k) for k in range(count // 2)]
    images = lambda made: [scene.image(SIDE) for scene in made.scenes]  # noqa: E731
    change = [
        same_words(r.text, p.change_text) for p, r in run_all(pairs, lambda p: engine.compare(images(p)), "change")
    ]
    which = [
        same_words(result.text, made.qa.answer)
        for made, result in run_all(selections, lambda s: engine.compare(images(s), s.qa.question), "which image")
    ]
    told = [
        same_words(r.text, s.text) for s, r in run_all(stories, lambda s: engine.compare(images(s), "story"), "story")
    ]
    boxes = [
        sorted((o["label"], o["image"]) for o in result.parsed.objects)
        == sorted((o["label"], o["image"]) for o in json.loads(pair.boxes_json)["objects"])
        for pair, result in run_all(pairs, lambda p: engine.compare(images(p), "boxes"), "change boxes")
        if result.parsed is not None
    ]
    return {
        "change": share(change),
        "which_image": share(which),
        "story": share(told),
        "change_boxes_named": sum(boxes) / len(pairs),
        "n_change": len(change),
        "n_which_image": len(which),
        "n_story": len(told),
    }


def measure(engine: Engine, count: int, seed: int) -> dict:
    """Every figure, each with its count."""
    made = [scenes.make_scene(seed + k) for k in range(count)]
    figures = measure_scenes(engine, made, "scenes")
    vqa, by_kind, asked = measure_questions(engine, made)
    # The same number of scenes made only of combinations seen in training, and only of held-out ones.
    half = max(count // 2, 1)
    seen = measure_scenes(engine, [scenes.make_scene(seed + k, combos="seen") for k in range(half)], "seen")
    held = measure_scenes(engine, [scenes.make_scene(seed + k, combos="heldout") for k in range(half)], "held out")
    gaps = {key: seen[key] - held[key] for key in ("caption_objects", "detection_f1")}
    return {
        **figures,
        "vqa": vqa,
        "vqa_by_kind": by_kind,
        **measure_several(engine, count, seed),
        "heldout_gap": max(gaps.values()),
        "heldout": {"seen": seen, "heldout": held, "n": half},
        "n": count,
        "n_vqa": asked,
        "seed": seed,
    }
