"""The bundled photograph model, on photographs that come with the page."""

import json
from collections.abc import Iterator

import pytest

from train.photographs.words import LABELS
from vlm_demo.checkpoints import bundled
from vlm_demo.engine import PHOTOGRAPHS, Engine
from vlm_demo.results import SamplingParameters
from vlm_demo.samples import FOLDER, samples
from vlm_demo.scenes import make_scene

BY_NAME = {sample.image.removesuffix(".jpg"): sample for sample in samples()}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine(PHOTOGRAPHS, device="cpu")
    yield engine
    engine.close()


def test_it_is_small_enough_to_ship():
    sizes = [path.stat().st_size for path in bundled("minivlm-photographs").iterdir()]
    assert sum(sizes) < 150e6 and max(sizes) < 50e6


@pytest.mark.parametrize("name, words", [("dogs", ("dog",)), ("cat", ("cat",)), ("horses", ("horse", "cow"))])
def test_captions_say_what_is_there(engine, name, words):
    text = engine.caption(BY_NAME[name].open()).text.lower()
    assert any(word in text for word in words), text


def test_an_alternative_text_is_one_short_sentence(engine):
    text = engine.caption(BY_NAME["dogs"].open(), "alt").text
    assert 0 < len(text) <= 125 and "image of" not in text.lower() and text.count(".") <= 1


def test_boxes_lie_on_what_is_there_and_the_json_is_whole(engine):
    result = engine.detect(BY_NAME["cat"].open())
    objects = json.loads(result.text)["objects"]
    assert "cat" in {item["label"] for item in objects} <= set(LABELS)
    best = max(result.parsed.objects, key=lambda item: item["confidence"])
    assert best["label"] == "cat" and best["bbox"][2] * best["bbox"][3] > 0.3 and 0.5 < best["confidence"] <= 1


def test_json_is_valid_whatever_is_drawn_by_chance(engine):
    for seed in range(8):
        wild = SamplingParameters(temperature=2.0, seed=seed)
        result = engine.detect(samples()[seed].open(), wild)
        if result.finish_reason == "stop":
            json.loads(result.text)
        else:
            assert result.finish_reason == "length"


def test_only_what_is_named_is_found(engine):
    image = BY_NAME["cat"].open()
    assert {item["label"] for item in engine.detect(image, what="cats").parsed.objects} == {"cat"}
    assert not engine.detect(image, what="zebra").parsed.objects


def test_questions_get_short_answers(engine):
    assert engine.answer(BY_NAME["cat"].open(), "Is there a cat?").text == "yes"
    assert engine.answer(BY_NAME["cat"].open(), "Is there an elephant in the image?").text == "no"
    shares = engine.choose(BY_NAME["dogs"].open(), "What animals are these?", ["dogs", "airplanes", "pizzas"])
    assert max(shares, key=shares.__getitem__) == "dogs" and sum(shares.values()) == pytest.approx(1)


def test_one_of_several_images_is_picked(engine):
    images = [BY_NAME[name].open() for name in ("boats", "cat", "dogs")]
    result = engine.compare(images, "Which image shows a cat?")
    assert result.text == "Image 2." and 0.3 < result.confidence <= 1
    assert engine.compare(images, "Which image shows a zebra?").text == "None of them."
    assert engine.compare(images, "Which image shows this: Sail boats on a body of water.").text == "Image 1."


def test_scenes_are_foreign_and_photographs_are_not(engine):
    assert engine.novelty(make_scene(3).image(400)).outside
    assert sum(engine.novelty(sample.open()).outside for sample in samples()) <= 2


def test_each_photograph_has_a_credit():
    assert len(samples()) == 12
    assert {sample.image for sample in samples()} == {path.name for path in FOLDER.glob("*.jpg")}
    assert all(sample.author and sample.licence and sample.source for sample in samples())
