"""Icon scenes: the same seed gives the same scene, and everything said about it is true."""

import json
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from train.evaluation.scenes import read_caption
from train.icons import rendering
from vlm_demo import scenes
from vlm_demo.scenes import draw, glyphs
from vlm_demo.scenes.selection import selection_questions
from vlm_demo.scenes.several import KINDS

SEEDS = range(60)


def test_a_seed_always_gives_the_same_scene_and_image():
    assert scenes.make_scene(7) == scenes.make_scene(7)
    assert np.array_equal(scenes.make_scene(7).image(128), scenes.make_scene(7).image(128))
    assert scenes.make_scene(7) != scenes.make_scene(8)


@pytest.mark.parametrize("size", [128, 512, 700])
def test_images_are_square_rgb_of_the_wanted_size(size):
    image = scenes.make_scene(3).image(size)
    assert (image.size, image.mode) == ((size, size), "RGB")


@pytest.mark.parametrize("seed", range(12))
def test_boxes_fit_what_is_drawn(seed):
    """The pixels that an icon changes, its shadow aside, end within a pixel and a half of its box."""
    scene = scenes.make_scene(seed)
    for item in scene.objects:
        empty = np.asarray(draw.background(scene.setting, scene.seed, 512), dtype=int)
        dark = np.abs(np.asarray(draw.draw(scene.setting, [item], scene.seed, 512), dtype=int) - empty).sum(-1)
        x, y, w, h = (v * 512 for v in item.bbox)
        ys, xs = np.nonzero(dark > 40)  # not the faint fringe of smooth edges
        # The shadow falls to the right and below, so the left and upper edges are the icon's own.
        assert xs.min() == pytest.approx(x, abs=1.5)
        assert ys.min() == pytest.approx(y, abs=1.5)
        shadow = 0.035 * item.size * 512
        assert x + w - 1.5 <= xs.max() + 1 <= x + w + shadow + 2.5
        assert y + h - 1.5 <= ys.max() + 1 <= y + h + shadow + 2.5


def test_objects_lie_inside_hardly_overlap_and_stand_from_left_to_right():
    for seed in SEEDS:
        objects = scenes.make_scene(seed).objects
        assert 1 <= len(objects) <= 6
        assert [item.center for item in objects] == sorted(item.center for item in objects)
        for item in objects:
            x, y, w, h = item.bbox
            assert min(x, y) >= 0 and max(x + w, y + h) <= 1


def test_captions_say_every_object_and_the_setting():
    for seed in SEEDS:
        scene = scenes.make_scene(seed)
        reference = Counter((item.color, item.label) for item in scene.objects)
        for style in ("brief", "detailed", "alt"):
            for variant in range(3):
                assert read_caption(scene.caption(style, variant)) == (reference, scene.setting)


def test_an_unknown_caption_style_is_refused_by_name():
    with pytest.raises(ValueError, match="brief, detailed or alt"):
        scenes.make_scene(1).caption("poem")


def test_detections_are_valid_json_close_to_the_truth():
    for seed in SEEDS:
        scene = scenes.make_scene(seed)
        objects = json.loads(scene.detections_json())["objects"]
        assert [entry["label"] for entry in objects] == [item.label for item in scene.objects]
        for entry, item in zip(objects, scene.objects, strict=True):
            assert entry["bbox"] == pytest.approx(item.bbox, abs=0.006)


def test_counting_questions_are_answered_by_counting():
    checked = 0
    for seed in SEEDS:
        scene = scenes.make_scene(seed)
        for qa in scene.questions():
            if qa.kind == "how many in all":
                assert int(qa.answer) == len(scene.objects)
                checked += 1
            if qa.kind == "how many of a colour":
                color = next(color for color in scenes.COLORS if f" {color}" in qa.question.lower().rstrip("?."))
                assert int(qa.answer) == sum(item.color == color for item in scene.objects)
                checked += 1
    assert checked > 60


def test_colour_questions_name_an_object_of_that_colour():
    for seed in SEEDS:
        scene = scenes.make_scene(seed)
        for qa in scene.questions():
            if qa.kind == "colour":
                label = next(item.label for item in scene.objects if item.label in qa.question.lower())
                assert qa.answer in {item.color for item in scene.objects if item.label == label}


def test_every_kind_of_question_occurs_and_answers_are_not_all_alike():
    answers: dict[str, Counter] = {}
    for seed in range(200):
        for qa in scenes.make_scene(seed).questions():
            answers.setdefault(qa.kind, Counter())[qa.answer] += 1
    assert len(answers) > 20
    for kind in ("is there", "is it left of", "is it above", "is this where"):
        yes, no = answers[kind]["yes"], answers[kind]["no"]
        assert 0.25 < yes / (yes + no) < 0.75, kind


def test_chats_have_several_turns_that_lean_on_the_first():
    chats = [scenes.make_scene(seed).chat() for seed in SEEDS]
    assert all(2 <= len(chat) <= 4 for chat in chats if len(chat) > 1)
    assert sum(len(chat) > 1 for chat in chats) > 50
    later = " ".join(qa.question for chat in chats for qa in chat[1:])
    assert " it" in later and "they" in later


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_differ_in_just_the_named_way(kind):
    for seed in range(15):
        pair = scenes.make_pair(seed, kind=kind, changes=1)
        if not pair.changes:  # this scene does not allow this change
            continue
        before, after = pair.scenes
        change = pair.changes[0]
        assert change.kind == kind and change.text == pair.change_text
        if kind == "setting":
            assert before.items == after.items and before.setting != after.setting
            continue
        assert before.setting == after.setting
        assert set(before.items) - set(after.items) == ({change.before} if change.before else set())
        assert set(after.items) - set(before.items) == ({change.after} if change.after else set())
        boxes = json.loads(pair.boxes_json)["objects"]
        assert [entry["image"] for entry in boxes] == [1] * bool(change.before) + [2] * bool(change.after)


def test_which_image_has_exactly_one_answer():
    for seed in SEEDS:
        selection = scenes.make_selection(seed)
        number = int(selection.qa.answer[len("Image ") : -1])
        assert 1 <= number <= len(selection.scenes)
    scene = scenes.make_scene(1)
    twins = selection_questions((scene, replace(scene, seed=99)), random.Random(0))
    assert twins == []  # two scenes with the same contents: nothing tells them apart


def test_stories_have_three_scenes_and_words():
    kinds = {scenes.make_story(seed).kind for seed in range(40)}
    assert kinds == {"moves", "appear", "vanish", "colours", "settings"}
    assert all(len(scenes.make_story(seed).scenes) == 3 for seed in range(10))


def test_training_never_shows_a_held_out_combination():
    def looks(members):
        return {(item.label, item.color) for scene in members for item in scene.items}

    trained = looks(rendering.group("scenes", index) for index in range(300))
    trained |= looks(scene for index in range(150) for scene in rendering.group("pairs", index).scenes)
    trained |= looks(scene for index in range(100) for scene in rendering.group("stories", index).scenes)
    assert not any(scenes.is_heldout(*look) for look in trained)
    held = looks(scenes.make_scene(seed, combos="heldout") for seed in range(100))
    assert all(scenes.is_heldout(*look) for look in held)
    assert {color for _, color in held} == set(scenes.COLORS)  # yet every colour is seen, and every label
    assert {label for label, _ in held} <= {label for label, _ in trained}


def test_an_outline_is_the_glyph_widened_on_every_side():
    glyph, outline = glyphs.masks("key")[0]
    assert (np.asarray(outline, int) >= np.asarray(glyph, int) - 8).all()  # resampling rings a little
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 17), dtype=np.uint8))
    assert glyphs._widen(noise, 3).tobytes() == noise.filter(ImageFilter.MaxFilter(7)).tobytes()
