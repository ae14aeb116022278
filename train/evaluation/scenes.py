"""Evaluation on unseen icon scenes; every answer is compared with the exact reference of the scene."""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from supervision.metrics import MeanAveragePrecision
from tqdm import tqdm

from train.evaluation.metrics import is_json_object, matches, predicted_boxes, same_words, share
from vlm_demo import scenes
from vlm_demo.detection.library import sv
from vlm_demo.engine import Engine, Result
from vlm_demo.scenes.language import NUMBERS, PLACES, plural

SIDE = 512  # pixels of an image, as the page renders it
QUESTIONS = 8  # asked of each scene, of different kinds
GROUP = re.compile(r"\b(an?|" + "|".join(NUMBERS[2:]) + rf") ({'|'.join(scenes.COLORS)}) (\w+)", re.IGNORECASE)
SINGULAR = {word: label for label in scenes.LABELS for word in (label, plural(label))}


def read_caption(text: str) -> tuple[Counter[tuple[str, str]], str | None]:
    """Objects of a caption, (color, label) -> number, and its setting; only what it states plainly counts."""
    objects: Counter[tuple[str, str]] = Counter()
    for number, color, word in GROUP.findall(text):
        count = 1 if number.lower() in ("a", "an") else NUMBERS.index(number.lower())
        objects[color.lower(), SINGULAR.get(word, word)] += count
    named = [setting for setting, place in PLACES.items() if place in text.lower()]
    return objects, named[0] if len(named) == 1 else None


def reference_boxes(scene: scenes.Scene) -> sv.Detections:
    """The scene's objects in pixels of the rendered image."""
    xywh = np.array([item.bbox for item in scene.objects]) * SIDE
    return sv.Detections(
        xyxy=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1),
        class_id=np.array([scenes.LABELS.index(item.label) for item in scene.objects]),
    )


def run_all(jobs: list, call, what: str) -> Iterator[tuple[object, Result]]:  # noqa: ANN001
    """Results of `call(job)` for all jobs, many at a time, so that the engine can batch them."""
    with ThreadPoolExecutor(32) as pool:
        yield from tqdm(zip(jobs, pool.map(call, jobs), strict=True), total=len(jobs), desc=what, mininterval=5)


def measure_scenes(engine: Engine, unseen: list[scenes.Scene], what: str) -> dict[str, float]:
    """Detection and brief captions of some scenes."""
    images_by_seed = {scene.seed: scene.image(SIDE) for scene in unseen}
    hits = n_predicted = n_references = 0
    valid, correct, setting, references, predictions = [], [], [], [], []
    for scene, result in run_all(unseen, lambda s: engine.detect(images_by_seed[s.seed]), f"{what}: detect"):
        detections, expected = predicted_boxes(result, scenes.LABELS), reference_boxes(scene)
        hits += matches(result, [(item.label, item.bbox) for item in scene.objects])
        n_predicted, n_references = n_predicted + len(detections), n_references + len(expected)
        valid.append(is_json_object(result.text))
        references.append(expected)
        predictions.append(detections)
    for scene, result in run_all(unseen, lambda s: engine.caption(images_by_seed[s.seed]), f"{what}: caption"):
        objects, named = read_caption(result.text)
        correct.append(objects == Counter((item.color, item.label) for item in scene.objects))
        setting.append(named == scene.setting)
    score = MeanAveragePrecision().update(predictions, references).compute()
    return {
        "detection_f1": 2 * hits / (n_predicted + n_references),
        "map50": float(score.map50),
        "map50_95": float(score.map50_95),
        "json_valid": share(valid),
        "caption_objects": share(correct),
        "caption_setting": share(setting),
        "objects": n_references,
    }


def measure_questions(engine: Engine, unseen: list[scenes.Scene]) -> tuple[float, dict[str, dict[str, float]], int]:
    """VQA: overall accuracy, accuracy and count for each kind of question, number of questions."""
    jobs = []
    for scene in unseen:
        questions = scene.questions()
        random.Random(scene.seed).shuffle(questions)
        picked = {qa.kind: qa for qa in questions}  # one of a kind
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
    images = lambda several: [scene.image(SIDE) for scene in several.scenes]  # noqa: E731
    change = [
        same_words(r.text, p.change_text) for p, r in run_all(pairs, lambda p: engine.compare(images(p)), "change")
    ]
    which = [
        same_words(result.text, selection.qa.answer)
        for selection, result in run_all(selections, lambda s: engine.compare(images(s), s.qa.question), "which image")
    ]
    stories_right = [
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
        "story": share(stories_right),
        "change_boxes_named": sum(boxes) / len(pairs),
        "n_change": len(change),
        "n_which_image": len(which),
        "n_story": len(stories_right),
    }


def measure(engine: Engine, count: int, seed: int) -> dict:
    """Every figure, each with its count."""
    unseen = [scenes.make_scene(seed + k) for k in range(count)]
    figures = measure_scenes(engine, unseen, "scenes")
    vqa, by_kind, asked = measure_questions(engine, unseen)
    # The same number of scenes with only combinations seen in training, and with only held-out ones.
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
