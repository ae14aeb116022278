"""Training on photographs: what is said of an image stays true however it is shown, and is asked in a fixed order."""

import io
import random

import pytest
import torch
from PIL import Image

from train.blocks import block_mask
from train.photographs import asking, words
from train.photographs.conversations import Conversation, Seen
from train.photographs.data import Photo, Question, Variant, alt_text, bare_caption, mirror, mosaic, variants
from train.photographs.evaluation import calibration_error, f1, match
from train.photographs.grounded import color_questions, doing_questions
from train.photographs.packing import Steps
from vlm_demo.model import MiniVLMProcessor

CAPTIONS = ("A man in a red shirt is riding a brown horse on the left.", "A man riding a horse along a fence.")
OTHER = ("A man playing tennis on a court.", "A boy is jumping into a pool.")
BOXES = (("horse", (0.1, 0.3, 0.4, 0.5)), ("person", (0.2, 0.1, 0.1, 0.3)))


def photo(captions=CAPTIONS, objects=BOXES, boxed="all", number=0) -> Photo:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (number * 20 % 256, 90, 120)).save(file, "PNG")
    asked = (Question("What is left of the fence?", "horse", "vqa-v2"),)
    return Photo(f"photo-{number}", file.getvalue(), "coco", captions, objects, boxed, asked)


def test_a_mirrored_image_has_its_boxes_and_words_mirrored():
    shown = Variant(mirrored=True).photo(photo())
    assert shown.objects[0] == ("horse", pytest.approx((0.5, 0.3, 0.4, 0.5)))
    assert "on the right" in shown.captions[0] and shown.questions[0].question == "What is right of the fence?"
    assert mirror(mirror("Left, leftmost, right-hand")) == "Left, leftmost, right-hand"


def test_a_crop_moves_boxes_and_drops_what_is_cut_away():
    shown = Variant(crop=(0.0, 0.3, 0.5, 0.5)).photo(photo())
    assert [label for label, _ in shown.objects] == ["horse"] and not shown.whole
    assert shown.objects[0][1] == pytest.approx((0.2, 0.0, 0.8, 1.0))
    assert variants("a") == variants("a") != variants("b")


def test_a_mosaic_keeps_what_can_still_be_seen():
    image, joined = mosaic([photo(number=n) for n in range(5)], 1)
    assert image.size == (300, 300) and joined.boxed == "all"
    assert 4 <= len(joined.objects) <= 8
    assert all(0 <= x and 0 <= y and x + w <= 1.001 and y + h <= 1.001 for _, (x, y, w, h) in joined.objects)


def test_captions_are_sentences_and_alternative_texts_are_short():
    assert bare_caption("A man rides.") == "a man rides" and bare_caption("Paris at night.") == "Paris at night"
    assert alt_text(("A picture of a dog on a beach.", "A dog runs along the beach in summer.")).startswith(
        ("A dog", "Dog")
    )
    assert alt_text(("x" * 200,)) is None


def test_boxes_come_in_the_detectors_order_then_the_largest():
    regions = (("person", 0.9, (0.2, 0.1, 0.1, 0.31)), ("cat", 0.5, (0.0, 0.0, 1.0, 1.0)))
    boxes = Seen(photo(), regions).boxes()
    assert boxes == [("person", (0.2, 0.1, 0.1, 0.31)), ("horse", (0.1, 0.3, 0.4, 0.5))]
    taught = Seen(photo(boxed="none", objects=()), regions).boxes()
    assert [label for label, _ in taught] == ["person", "cat"]


def test_what_is_absent_is_neither_boxed_nor_mentioned():
    seen = Seen(photo(), ())
    assert seen.absent("zebra") and not seen.absent("horse") and not seen.absent("person")
    assert words.mentions("Two puppies play", "dog") and not words.mentions("He catches it", "cat")


def test_questions_from_captions_have_a_true_and_a_false_one():
    rng = random.Random(0)
    pairs = doing_questions(CAPTIONS, OTHER, rng)
    assert [answer for _, answer in pairs] == ["yes", "no"]
    assert "horse" in pairs[0][0] and "tennis" in pairs[1][0]  # both about a man
    for seed in range(20):
        question, answer = color_questions(CAPTIONS, random.Random(seed))[0]
        true = {"shirt": "red", "horse": "brown"}[next(thing for thing in ("shirt", "horse") if thing in question)]
        assert answer == true if question.startswith("What") else (true in question) == (answer == "yes")


@pytest.fixture
def steps(checkpoint_processor) -> Steps:
    photos = [photo(number=n) for n in range(6)]
    regions = {(n, v): (("person", 0.9, (0.2, 0.1, 0.1, 0.3)),) for n in range(6) for v in (0, 1)}
    return Steps(checkpoint_processor, photos, regions, rows=3)


@pytest.fixture(scope="module")
def checkpoint_processor() -> MiniVLMProcessor:
    return MiniVLMProcessor.from_pretrained("checkpoints/minivlm-icons")


def test_a_batch_depends_on_its_number_alone(steps):
    (first,), (again,), (other,) = steps[4], steps[4], steps[5]
    assert torch.equal(first["input_ids"], again["input_ids"]) and first["shown"] == again["shown"]
    assert first["input_ids"].shape != other["input_ids"].shape or not torch.equal(
        first["input_ids"], other["input_ids"]
    )


def test_rows_of_like_length_pass_together(steps, checkpoint_processor):
    parts = Steps(checkpoint_processor, steps.photos, steps.regions, rows=3, parts=2)[4]
    (whole,) = steps[4]
    lengths = [(part["block"] >= 0).sum(1).tolist() for part in parts]
    assert sum(lengths, []) == sorted((whole["block"] >= 0).sum(1).tolist())
    assert sorted(shown for part in parts for shown in part["shown"]) == sorted(whole["shown"])


def test_a_branch_sees_the_image_and_itself(steps):
    ids, labels, positions, block, weights, _ = steps.pack(
        [Conversation("asked", (("vqa", "who?", "a man"),)), Conversation("asked", (("vqa", "what?", "a horse"),))],
        1,
        random.Random(0),
    )
    mask = block_mask(torch.tensor([block]), torch.float32)[0, 0] == 0
    image, second = block.index(1), block.index(2)
    assert mask[second, :image].all() and not mask[second, image:second].any()
    assert positions[second] == positions[image] == image
    counted = [weight for weight, label in zip(weights, labels, strict=True) if label != -100]
    assert sum(counted) == pytest.approx(2.0)  # an answer counts as one, however long it is


def test_every_branch_fits_its_image():
    rng = random.Random(3)
    for _ in range(50):
        for conversation in asking.one_image(Seen(photo(), ()), [photo(OTHER, (), "none", 9)], 3, 1.0, rng):
            for task, question, answer in conversation.turns:
                assert task in ("caption", "detect", "vqa") and answer
                if question.lower().startswith(("is there a horse", "can you see a horse", "do you see a horse")):
                    assert answer == "yes"


def test_boxes_are_matched_most_certain_first():
    predictions = [
        {"label": "horse", "bbox": (0.1, 0.3, 0.4, 0.5), "confidence": 0.4},
        {"label": "horse", "bbox": (0.1, 0.3, 0.4, 0.45), "confidence": 0.9},
        {"label": "cat", "bbox": (0.2, 0.1, 0.1, 0.3), "confidence": 0.9},
    ]
    assert match(predictions, BOXES) == [None, 0, None]
    assert f1([(predictions, BOXES)], lambda label, box: True) == pytest.approx(2 / 5)
    assert calibration_error([(0.9, True), (0.9, False)]) == pytest.approx(0.4)
