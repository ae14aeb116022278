"""What a model is worth on unseen photographs, every answer compared with what people wrote and annotated."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from supervision.metrics import MeanAveragePrecision
from tqdm import tqdm

from train.evaluation.metrics import caption_scores, is_json_object, plain_answer, share
from train.photographs.data import Photo, Question, read
from train.photographs.words import LABELS, UNKNOWN
from vlm_demo.detection import match
from vlm_demo.detection.library import sv
from vlm_demo.engine import Engine
from vlm_demo.results import Result

LARGE = 0.02  # share of the image from which an object is large
BINS = 10  # of the calibration error
TURNS = 3  # asked before a question, where it is asked within a conversation
EVERYDAY = Path(__file__).with_name("everyday.txt")
GREY = Image.new("RGB", (300, 300), (128, 128, 128))  # what a model sees that must guess

Figures = dict[str, Any]
Asked = tuple[Photo, Question]
Rated = tuple[float, bool]  # a confidence, and whether the answer or box was right


def in_parallel(function: Callable[[Any, int], Any], items: Sequence[Any], what: str) -> list[Any]:
    """`function(item, number)` for all items, many at once, in order; the number is the session."""
    with ThreadPoolExecutor(48) as pool:
        numbered = pool.map(function, items, range(len(items)))
        return list(tqdm(numbered, desc=what, total=len(items), mininterval=5))


def captions(engine: Engine, photos: Sequence[Photo], name: str) -> Figures:
    """CIDEr-D and BLEU-4 of brief captions."""
    results = in_parallel(lambda photo, n: engine.caption(photo.open(), session=n), photos, f"captions, {name}")
    scores = caption_scores([result.text for result in results], [photo.captions for photo in photos])
    return {f"cider_{name}": scores["cider"], f"bleu_4_{name}": scores["bleu_4"], f"n_{name}": len(photos)}


# Boxes


def f1(pairs: Sequence[tuple[list[dict], Sequence[tuple[str, tuple]]]], counts: Callable[[str, Any], bool]) -> float:
    """F1 over objects that `counts(label, box)`; a match counts by its reference box, a false positive by its own."""
    hits = n_predictions = n_references = 0
    for predictions, true in pairs:
        n_references += sum(counts(*one) for one in true)
        for item, n in zip(predictions, match(predictions, true), strict=True):
            one = (item["label"], item["bbox"]) if n is None else true[n]
            if counts(*one):
                n_predictions += 1
                hits += n is not None
    return 2 * hits / max(1, n_predictions + n_references)


def detections(engine: Engine, photos: Sequence[Photo], threshold: float) -> tuple[list[Result], Figures, list[Rated]]:
    """Figures of detection; boxes below `threshold` count for mAP alone."""
    results = in_parallel(lambda photo, n: engine.detect(photo.open(), session=n), photos, "boxes")
    all_boxes = [result.parsed.objects for result in results]
    shown = [[item for item in items if (item["confidence"] or 1.0) >= threshold] for items in all_boxes]
    pairs = list(zip(shown, (photo.objects for photo in photos), strict=True))
    figures = {
        "detection_f1": f1(pairs, lambda label, box: True),
        "detection_f1_large": f1(pairs, lambda label, box: box[2] * box[3] >= LARGE),
        "person_f1": f1(pairs, lambda label, box: label == "person"),
        "map50": map50(all_boxes, photos),
        "json_valid": share(is_json_object(result.text) for result in results),
        "n_detection": len(photos),
        "n_objects": sum(len(photo.objects) for photo in photos),
    }
    rated = [
        (item["confidence"], n is not None)
        for items, photo in zip(all_boxes, photos, strict=True)
        for item, n in zip(items, match(items, photo.objects), strict=True)
        if item["confidence"] is not None
    ]
    return results, figures, rated


def map50(predictions: Sequence[list[dict]], photos: Sequence[Photo]) -> float:
    """Mean average precision at IoU 0.5 over the classes that occur."""

    def boxes(items: Sequence[tuple[str, Sequence[float], float]]) -> sv.Detections:
        corners = np.array([[x, y, x + w, y + h] for _, (x, y, w, h), _ in items], np.float32).reshape(-1, 4) * 1000
        classes = np.array([LABELS.index(label) if label in LABELS else len(LABELS) for label, *_ in items], int)
        return sv.Detections(corners, class_id=classes, confidence=np.array([c for *_, c in items], np.float32))

    predicted = [
        boxes([(item["label"], item["bbox"], item["confidence"] or 1.0) for item in items]) for items in predictions
    ]
    true = [boxes([(label, box, 1.0) for label, box in photo.objects]) for photo in photos]
    return max(0.0, float(MeanAveragePrecision().update(predicted, true).compute().map50))


# Questions


def right(text: str, question: Question) -> bool:
    """Whether an answer is one that people gave, in plain form."""
    return plain_answer(text) in {plain_answer(answer) for answer in (question.answer, *question.answers)}


def questions(
    engine: Engine, asked: Sequence[Asked], name: str, blind: bool = False
) -> tuple[float, list[tuple[Result, bool]]]:
    """Share of right answers, and each answer beside whether it was right; `blind`: of a grey image."""

    def ask(one: Asked, n: int) -> Result:
        return engine.answer(GREY if blind else one[0].open(), one[1].question, session=n)

    results = in_parallel(ask, asked, f"{name}, blind" if blind else name)
    rated = [(result, right(result.text, question)) for result, (_, question) in zip(results, asked, strict=True)]
    return share(ok for _, ok in rated), rated


def choices(engine: Engine, asked: Sequence[Asked], blind: bool = False) -> float:
    """Share of questions whose true answer is the most probable of its four choices."""

    def ask(one: Asked, n: int) -> bool:
        photo, question = one
        probabilities = engine.choose(GREY if blind else photo.open(), question.question, question.choices, session=n)
        return max(probabilities, key=probabilities.__getitem__) == question.answer

    return share(in_parallel(ask, asked, "visual7w, blind" if blind else "visual7w"))


def which_image(engine: Engine, photos: Sequence[Photo], count: int) -> Figures:
    """Which of three images has a caption, and whether the answer is "none" for a caption that none of them has."""
    rng = random.Random(0)
    groups = [rng.sample(list(photos), 4) for _ in range(count)]

    def ask(group: list[Photo], n: int) -> tuple[bool, bool]:
        k = n % 3
        images = [photo.open() for photo in group[:3]]
        texts = [
            engine.compare(images, f"Which image shows this: {photo.captions[0]}", session=n).text
            for photo in (group[k], group[3])
        ]
        return texts[0] == f"Image {k + 1}.", texts[1] == "None of them."

    answers = in_parallel(ask, groups, "which image")
    return {
        "which_image": share(ok for ok, _ in answers),
        "none_of_them": share(none for _, none in answers),
        "n_which_image": len(groups),
    }


def hand_written(photos: Sequence[Photo]) -> list[tuple[Photo, str, list[str]]]:
    """Questions in everyday words, written while looking at validation photographs, and for each what a right answer
    holds."""
    by_id = {photo.image_id: photo for photo in photos}
    asked, photo = [], None
    for line in EVERYDAY.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            photo = by_id.get(line[1:-1])
        elif photo and line and not line.startswith("#"):
            question, answers = line.split(" = ")
            asked.append((photo, question, [UNKNOWN if one == "?" else one for one in answers.split(" | ")]))
    return asked


def holds(text: str, answers: Sequence[str]) -> bool:
    """Whether a text contains one of the answers as words."""
    return any(f" {plain_answer(one)} " in f" {plain_answer(text)} " for one in answers)


def everyday(
    engine: Engine, photos: Sequence[Photo], blind: bool = False, turns: int = 0
) -> tuple[float, list[tuple[Result, bool]]]:
    """Share of right answers to `hand_written`, each behind so many other questions about its image with right answers,
    and each answer beside whether it is right."""
    asked = hand_written(photos)

    def ask(one: tuple[Photo, str, list[str]], n: int) -> Result:
        photo, question, _ = one
        others = [(other, answers[0]) for same, other, answers in asked if same is photo and other != question]
        return engine.answer(GREY if blind else photo.open(), question, others[:turns], session=n)

    results = in_parallel(ask, asked, "everyday")
    rated = [(result, holds(result.text, answers)) for result, (*_, answers) in zip(results, asked, strict=True)]
    return share(ok for _, ok in rated), rated


def calibration_error(rated: Sequence[Rated]) -> float:
    """Expected calibration error (Guo et al. 2017) in ten bins of equal width."""
    bins: dict[int, list[Rated]] = {}
    for confidence, ok in rated:
        bins.setdefault(min(BINS - 1, int(confidence * BINS)), []).append((confidence, ok))
    gaps = [abs(sum(c for c, _ in own) - sum(ok for _, ok in own)) for own in bins.values()]
    return sum(gaps) / max(1, len(rated))


def commonest(asked: Sequence[Asked]) -> float:
    """What always giving the commonest answer would get."""
    return max(Counter(question.answer for _, question in asked).values(), default=0) / max(1, len(asked))


# Everything


def measure(engine: Engine, data: Path, split: str = "validation", limit: int | None = None) -> Figures:
    """Every figure that a split allows (Flickr8k's test images have captions alone), on at most `limit` of a kind.

    `data` holds `photographs/` and, for the fruits, `fruits/`.
    """
    photos = read(data / "photographs", split)
    flickr = [photo for photo in photos if photo.source == "flickr8k"][:limit]
    figures = captions(engine, flickr, "flickr8k")
    if split == "test":
        return figures
    figures |= captions(engine, [photo for photo in photos if photo.captions and photo not in flickr][:limit], "coco")
    threshold = engine.description().threshold
    boxed = [photo for photo in photos if photo.boxed == "all"][:limit]
    _, detection, rated_boxes = detections(engine, boxed, threshold)
    figures |= detection
    fruits = read(data / "fruits", "test")[:limit]
    _, detection, _ = detections(engine, fruits, threshold)
    figures |= {"fruits_f1": detection["detection_f1"], "n_fruits": len(fruits)}

    kinds = {"yes_no": "vaq2.0(yes/no)", "present": "pope", "coco_qa": "coco-qa"}
    blind, common, rated = {}, {}, []
    for name, kind in kinds.items():
        asked = [(photo, qa) for photo in photos for qa in photo.questions if qa.kind == kind]
        asked = random.Random(0).sample(asked, min(len(asked), 2 * (limit or len(asked))))
        figures[name], own = questions(engine, asked, name)
        blind[name], _ = questions(engine, asked, name, blind=True)
        common[name] = commonest(asked)
        figures[f"n_{name}"] = len(asked)
        rated += own
    asked = [
        (photo, qa) for photo in photos for qa in photo.questions if qa.kind == "visual7w" and len(qa.choices) == 4
    ]
    asked = asked[:limit]
    figures |= {"visual7w_choice": choices(engine, asked), "n_visual7w": len(asked)}
    blind["visual7w_choice"], common["visual7w_choice"] = choices(engine, asked, blind=True), 0.25
    written = hand_written(photos)
    figures["everyday"], own = everyday(engine, photos)
    figures["everyday_in_chat"], _ = everyday(engine, photos, turns=TURNS)
    blind["everyday"], _ = everyday(engine, photos, blind=True)
    forms = Counter(answer for *_, answers in written for answer in set(answers))
    common["everyday"], figures["n_everyday"] = max(forms.values(), default=0) / max(1, len(written)), len(written)
    rated += own
    figures |= which_image(engine, [photo for photo in photos if photo.captions], min(limit or 300, 300))
    chances = [(result.confidence if result.chance is None else result.chance, ok) for result, ok in rated]
    figures["calibration"] = {"answers": calibration_error(chances), "boxes": calibration_error(rated_boxes)}
    return figures | {"blind": blind, "commonest": common}
