"""Metrics: against values that their authors publish or that can be counted by hand."""

import pytest

from train.evaluation import metrics
from vlm_demo.detection import parse
from vlm_demo.results import Result

# The example in the README of aac-metrics (https://pypi.org/project/aac-metrics), which prints CIDEr-D 0.9614 for it.
SAID = ["a man is speaking", "rain falls"]
TRUE = [
    ["a man speaks.", "someone speaks.", "a man is speaking while a bird is chirping in the background"],
    ["rain is falling hard on a surface"],
]


def test_cider_d_is_the_published_one():
    assert metrics.cider_d(SAID, TRUE) == pytest.approx([1.3641, 0.5587], abs=5e-5)
    assert metrics.caption_scores(SAID, TRUE)["cider"] == pytest.approx(0.9614, abs=5e-5)


def test_cider_d_of_clipped_counts_and_other_lengths():
    """Computed with the authors' cider_scorer.py of pycocoevalcap 1.2."""
    predictions = [
        "a dog runs across the green grass",
        "two men sit in a boat on a lake",
        "a man rides a dirt bike",
        "a girl in a red dress smiles",
    ]
    references = [
        ["a brown dog runs through the grass", "the dog is running across a green field"],
        ["two men in a fishing boat on a river", "two people are in a canoe on a lake in misty conditions"],
        ["man riding a dirt bike on a dirt track", "a person riding a dirt bike", "a man rides a motorbike on a hill"],
        ["a girl in a red dress is smiling at the camera"],
    ]
    assert metrics.cider_d(predictions, references) == pytest.approx([1.7277336, 2.24756046, 3.26458989, 4.69086888])
    scores = metrics.caption_scores(predictions, references)
    bleu = [scores[f"bleu_{n}"] for n in (1, 2, 3, 4)]
    assert bleu == pytest.approx([0.811079, 0.672466, 0.552697, 0.431313], abs=1e-5)  # pycocoevalcap's, too


def test_bleu_is_the_published_one():
    assert metrics.caption_scores(SAID, TRUE)["bleu_1"] == pytest.approx(0.4278, abs=5e-5)


def test_a_perfect_caption_and_an_empty_one():
    perfect = metrics.caption_scores(["A dog runs on the grass ."] * 2, [["a dog runs on the grass"], ["a cat sleeps"]])
    assert perfect["rouge_l"] == pytest.approx((1 + 2 / 9) / 2)  # "a" of six and three words
    nothing = metrics.caption_scores(["", ""], [["a dog"], ["a cat"]])
    assert set(nothing.values()) == {0.0}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The dog.", "dog"),
        ("Two dogs", "2 dogs"),
        ("none", "0"),
        ("1,000", "1000"),
        ("3.5 m.", "3.5 m"),
        ("dont know", "don't know"),
        ("couldnt've", "couldn't've"),
        ("red/white", "red white"),
        ("red, white", "red white"),
        ("yes!", "yes"),
        ("A  an\tthe\n", ""),
    ],
)
def test_plain_answers(text, plain):
    assert metrics.plain_answer(text) == plain


@pytest.mark.parametrize(("same", "accuracy"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_the_official_accuracy_of_ten_answers(same, accuracy):
    """https://visualqa.org/evaluation.html: one of ten who agrees counts 0.3, two 0.6, three 0.9."""
    assert metrics.vqa_accuracy("Cat", ["the cat."] * same + ["dog"] * (10 - same)) == pytest.approx(accuracy)


def test_one_answer_alone_is_right_or_wrong():
    assert metrics.vqa_accuracy("two", ["2"]) == 1 and metrics.vqa_accuracy("three", ["2"]) == 0


def detection(text):
    return Result("detect", "[OD]", text, parsed=parse(text, (100, 100)))


def box(label, *numbers):
    return f'{{"label": "{label}", "bbox": {list(numbers)}}}'


def test_detections_are_scored_by_place_label_and_number():
    dog, cat = box("dog", 0.1, 0.1, 0.4, 0.4), box("cat", 0.6, 0.6, 0.3, 0.3)
    references = [parse(f'{{"objects": [{dog}, {cat}]}}', (100, 100)), parse(f'{{"objects": [{dog}]}}', (100, 100))]
    right = metrics.detection_scores(
        [detection(f'{{"objects": [{dog}, {cat}]}}'), detection(f'{{"objects": [{dog}]}}')], references
    )
    assert right == pytest.approx(dict.fromkeys(right, 1.0), abs=1e-3)

    shifted = box("dog", 0.2, 0.1, 0.4, 0.4)  # IoU 0.6
    unknown = detection(f'{{"objects": [{shifted}, {box("unicorn", 0.6, 0.6, 0.3, 0.3)}]}}')
    broken = detection('{"objects": [{"label": "dog", "bbox": [0.1, 0.1, 0.4')
    scores = metrics.detection_scores([unknown, broken], references)
    assert scores["json_valid"] == 0.5 and scores["labels_right"] == 0 and scores["count_right"] == 0.5
    assert scores["f1"] == pytest.approx(2 * 1 / (2 + 3))
    assert 0 < scores["map50_95"] < scores["map50"] < 0.5


def test_nothing_said_about_boxes_scores_nothing():
    references = [parse(f'{{"objects": [{box("dog", 0.1, 0.1, 0.4, 0.4)}]}}', (100, 100))]
    scores = metrics.detection_scores([detection("I see a dog")], references)
    assert set(scores.values()) == {0.0}
