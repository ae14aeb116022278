"""Metrics of predictions against references: captions, boxes, questions, other texts.

Each function takes predictions and references, row by row, and returns figures from 0 to 1 by name (CIDEr-D: 0 to 10).
sacrebleu, rouge-score and supervision do what they can; CIDEr-D and the VQA accuracy have no library without Java or
a copy of the whole data set, so they are written here.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU
from supervision.metrics import MeanAveragePrecision

from vlm_demo.detection import Parsed, match
from vlm_demo.detection.library import sv
from vlm_demo.results import Result

Scores = dict[str, float]
MAX_NGRAM = 4
CIDER_SIGMA = 6.0  # words; how fast CIDEr-D punishes another length
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def share(hits: Iterable[bool]) -> float:
    """Share of true values, 0 where there are none."""
    values = list(hits)
    return sum(values) / len(values) if values else 0.0


# Captions


def caption_scores(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """BLEU-1 to 4, ROUGE-L and CIDEr-D of captions, each with one or several references."""
    plain = [" ".join(split_words(text)) for text in predictions]
    tokenized = [[" ".join(split_words(text)) for text in row] for row in references]
    most = max(map(len, tokenized))
    streams = [[row[k] if k < len(row) else None for row in tokenized] for k in range(most)]  # sacrebleu's order
    bleu = {
        f"bleu_{n}": BLEU(max_ngram_order=n, tokenize="none", smooth_method="none", force=True)
        .corpus_score(plain, streams)
        .score
        / 100
        for n in range(1, MAX_NGRAM + 1)
    }
    cider = float(np.mean(cider_d(predictions, references)))
    return {**bleu, "rouge_l": rouge_l(predictions, references), "cider": cider}


def split_words(text: str) -> list[str]:
    """Lower-case words without punctuation, nearly as the COCO caption evaluation splits them."""
    return _WORD.findall(text.lower())


def rouge_l(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean F1 of the longest common subsequence with the most similar reference."""
    scorer = RougeScorer(["rougeL"])
    pairs = zip(predictions, references, strict=True)
    return float(np.mean([scorer.score_multi(row, text)["rougeL"].fmeasure for text, row in pairs]))


def cider_d(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """CIDEr-D (https://arxiv.org/abs/1411.5726, section 5) of each caption, 0 to 10.

    How similar the n-grams are, weighted by how few of the images they fit; the weights come from these references, so
    figures of other sets, or of a part of this one, are not comparable. One image alone gives 0.
    """
    counted = [[_ngrams(text) for text in row] for row in references]
    frequency = Counter(gram for row in counted for gram in set().union(*row))  # n-gram -> images it fits

    def vector(grams: Counter) -> dict[tuple[str, ...], float]:
        return {gram: n * math.log(len(references) / max(1, frequency[gram])) for gram, n in grams.items()}

    return [
        float(np.mean([_alike(grams, vector(grams), other, vector(other)) for other in row]))
        for grams, row in zip(map(_ngrams, predictions), counted, strict=True)
    ]


def _ngrams(text: str) -> Counter[tuple[str, ...]]:
    words = split_words(text)
    return Counter(tuple(words[i : i + n]) for n in range(1, MAX_NGRAM + 1) for i in range(len(words) - n + 1))


def _alike(one: Counter, weighted: dict, other: Counter, other_weighted: dict) -> float:
    """Mean over n of the clipped cosine, times ten, less for another length."""
    cosines = []
    for n in range(1, MAX_NGRAM + 1):
        a = {gram: weight for gram, weight in weighted.items() if len(gram) == n}
        b = {gram: weight for gram, weight in other_weighted.items() if len(gram) == n}
        norms = math.hypot(*a.values()) * math.hypot(*b.values())
        shared = sum(min(a[gram], b[gram]) * b[gram] for gram in a.keys() & b.keys())
        cosines.append(shared / norms if norms else 0.0)
    # The reference implementation measures the length in pairs of words.
    longer = sum(n for gram, n in one.items() if len(gram) == 2) - sum(n for gram, n in other.items() if len(gram) == 2)
    return 10 * sum(cosines) / MAX_NGRAM * math.exp(-(longer**2) / (2 * CIDER_SIGMA**2))


# Questions

NUMBERS = "zero one two three four five six seven eight nine ten".split()
DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(NUMBERS)}}
ARTICLES = {"a", "an", "the"}
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
# Written with one apostrophe too few they are still understood.
CONTRACTIONS = (
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd "
    "he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't "
    "needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've "
    "somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll "
    "that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've "
    "weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've "
    "why'll why're why's won't would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're "
    "you've"
).split()
MENDED = {word[:i] + word[i + 1 :]: word for word in CONTRACTIONS for i, char in enumerate(word) if char == "'"}


def plain_answer(text: str) -> str:
    """An answer without what does not matter, by the rules of https://visualqa.org/evaluation.html: case, articles,
    punctuation, digits for number words, the apostrophes of contractions."""
    text = " ".join(text.split())
    comma_in_number = re.search(r"\d,\d", text)
    plain = text
    for sign in PUNCTUATION:
        at_edge = f"{sign} " in text or f" {sign}" in text
        plain = plain.replace(sign, "" if at_edge or comma_in_number else " ")
    plain = re.sub(r"\.(?!\d)", "", plain)
    words = [DIGITS.get(word, word) for word in plain.lower().split()]
    return " ".join(MENDED.get(word, word) for word in words if word not in ARTICLES)


def vqa_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """The official accuracy of one answer: min(1, people who said the same / 3), averaged over leaving out each person.

    Three people cannot be found among fewer than four answers: there, it is right to agree with any of them. The
    official code leaves answers as they are where all people agree word for word; here they are always brought into
    plain form.
    """
    same = sum(plain_answer(answer) == plain_answer(prediction) for answer in answers)
    if len(answers) < 4:
        return float(same > 0)
    without_one_of_them, without_another = min(1.0, (same - 1) / 3), min(1.0, same / 3)
    return (same * without_one_of_them + (len(answers) - same) * without_another) / len(answers)


def vqa_scores(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """The mean official accuracy."""
    pairs = zip(predictions, references, strict=True)
    return {"vqa_accuracy": float(np.mean([vqa_accuracy(text, row) for text, row in pairs]))}


def same_words(prediction: str, reference: str) -> bool:
    """Whether two answers are the same but for case and a final full stop."""
    return prediction.strip().lower().rstrip(".") == reference.strip().lower().rstrip(".")


def text_scores(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Exactly right but for case and a full stop, and ROUGE-L, of answers with one reference."""
    return {
        "exact": share(same_words(text, reference) for text, reference in zip(predictions, references, strict=True)),
        "rouge_l": rouge_l(predictions, [[reference] for reference in references]),
    }


# Boxes


def predicted_boxes(result: Result, labels: Sequence[str]) -> sv.Detections:
    """The model's boxes with classes by name; a label that does not exist is class -1 and so always wrong."""
    detections = result.parsed.detections
    names = detections.data.get("class_name", []) if len(detections) else []
    ids = [labels.index(name) if name in labels else -1 for name in names]
    confidence = detections.confidence if detections.confidence is not None else np.ones(len(detections))
    return sv.Detections(xyxy=detections.xyxy, class_id=np.array(ids, dtype=int), confidence=confidence)


def is_json_object(text: str) -> bool:
    """Whether an answer is strictly valid JSON of an object."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def matches(prediction: Result, references: Sequence[tuple[str, Sequence[float]]]) -> int:
    """Number of predicted boxes that match a reference, each a label and its box."""
    return sum(number is not None for number in match(prediction.parsed.objects, references))


def detection_scores(predictions: Sequence[Result], references: Sequence[Parsed]) -> Scores:
    """mAP, F1 at IoU 0.5, how many answers were valid JSON, and in how many images the labels and the number were
    right. A label that occurs in no reference is wrong."""
    labels = sorted({label for reference in references for label in reference.labels})
    predicted = [predicted_boxes(result, labels) for result in predictions]
    expected = [_numbered(reference, labels) for reference in references]
    score = MeanAveragePrecision().update(predicted, expected).compute()
    hits = sum(
        matches(result, [(item["label"], item["bbox"]) for item in reference.objects])
        for result, reference in zip(predictions, references, strict=True)
    )
    every = sum(map(len, predicted)) + sum(map(len, expected))
    return {
        # supervision gives -1 where there is nothing to find
        "map50": max(0.0, float(score.map50)),
        "map50_95": max(0.0, float(score.map50_95)),
        "f1": 2 * hits / every if every else 1.0,
        "json_valid": share(is_json_object(result.text) for result in predictions),
        "labels_right": share(
            set(result.parsed.labels) == set(reference.labels)
            for result, reference in zip(predictions, references, strict=True)
        ),
        "count_right": share(len(one) == len(other) for one, other in zip(predicted, expected, strict=True)),
    }


def _numbered(reference: Parsed, labels: list[str]) -> sv.Detections:
    detections = reference.detections
    detections.class_id = np.array([labels.index(item["label"]) for item in reference.objects], dtype=int)
    return detections
