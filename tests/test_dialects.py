"""Families of models: how each is asked, and boxes read from answers in each family's documented form."""

import pytest

from vlm_demo.dialects import FAMILIES, GENERAL, dialect_of
from vlm_demo.results import EngineError
from vlm_demo.tasks import TASKS

SIZE = (640, 480)
DOG = '[{"bbox_2d": [0, 0, 500, 500], "label": "dog"}, '
EVERY = [*FAMILIES, GENERAL]


def read(model_type, text, size=SIZE, seen=SIZE):
    return dialect_of(model_type).read(text, size, seen)


def boxes(parsed):
    """Each label with its box in whole pixels."""
    return [
        (parsed.labels[id], *xyxy)
        for id, xyxy in zip(
            parsed.detections.class_id, parsed.detections.xyxy.round().astype(int).tolist(), strict=True
        )
    ]


@pytest.mark.parametrize(
    ("model_type", "text", "expected"),
    [
        (
            "paligemma",
            "<loc0256><loc0128><loc0768><loc0512> cat ; <loc0000><loc0512><loc0512><loc1023> traffic light",
            [("cat", 80, 120, 320, 360), ("traffic light", 320, 0, 639, 240)],
        ),
        (
            "florence2",
            "car<loc_52><loc_332><loc_932><loc_774><loc_0><loc_0><loc_99><loc_99>door<loc_710><loc_276><loc_908><loc_537>",
            [("car", 34, 160, 597, 372), ("car", 0, 0, 64, 48), ("door", 455, 133, 581, 258)],
        ),
        (
            "qwen3_vl",
            '```json\n[\n\t{"bbox_2d": [100, 200, 500, 1000], "label": "cat"},\n'
            '\t{"bbox_2d": [0, 0, 250, 250], "label": "l\'été"}\n]\n```',
            [("cat", 64, 96, 320, 480), ("l'été", 0, 0, 160, 120)],
        ),
        (
            "qwen2_5_vl",  # in pixels of the 1288x952 that the model saw
            '```json\n[{"bbox_2d": [322, 238, 644, 952], "label": "cat"}]\n```',
            [("cat", 160, 120, 320, 480)],
        ),
        (
            "minivlm",
            ' {"objects": [{"label": "cat", "bbox": [0.125, 0.250, 0.375, 0.500]}]}',
            [("cat", 80, 120, 320, 360)],
        ),
    ],
)
def test_boxes_in_each_familys_form(model_type, text, expected):
    parsed = read(model_type, text, seen=(1288, 952))
    assert boxes(parsed) == expected
    assert str(parsed.report) == f"{len(expected)} read"
    assert all(item["confidence"] is None for item in parsed.objects), "no family tells a confidence"
    assert parsed.detections.confidence is None


@pytest.mark.parametrize(
    ("model_type", "text", "report"),
    [
        ("paligemma", "<loc0001><loc0002><loc0300> cat ; <loc0000><loc0000><loc0512><loc0512> dog", "3 numbers"),
        ("paligemma", "<loc0000><loc0000><loc0512><loc0512> dog ; <loc0000><loc0000><loc0512><loc0512>", "no label"),
        ("florence2", "dog<loc_0><loc_0><loc_500><loc_500><loc_7>", "1 number"),
        ("florence2", "<loc_0><loc_0><loc_9><loc_9>dog<loc_0><loc_0><loc_500><loc_500>", "no label"),
        ("qwen3_vl", DOG + '{"bbox_2d": [1, 2, 3], "label": "cat"}]', "3 numbers"),
        ("qwen3_vl", DOG + '{"point_2d": [1, 2], "label": "cat"}]', "no box"),
        ("qwen3_vl", DOG + '{"bbox_2d": [1, 2, NaN, 9], "label": "a"}]', "not a number"),
        ("qwen3_vl", DOG + '{"bbox_2d": [9, 9, 2, 2], "label": "a"}]', "negative size"),
        ("qwen3_vl", DOG + '{"bbox_2d": [9, 9, 99999, 99], "label": "a"}]', "not between 0 and 1"),
        ("qwen3_vl", DOG + '{"bbox_2d": [9, 9, 9', "cut off"),
        ("qwen3_vl", DOG + '{"bbox_2d": [0, 0, 500, 501], "label": "dog"}]', "duplicate"),
    ],
)
def test_a_broken_box_is_dropped_and_told_and_the_others_stay(model_type, text, report):
    parsed = read(model_type, text)
    assert [item["label"] for item in parsed.objects] == ["dog"]
    assert str(parsed.report) == f"1 read, 1 dropped ({report})"


def test_boxes_are_clipped_to_the_image_and_that_is_told():
    parsed = read("qwen3_vl", '[{"bbox_2d": [500, -100, 1200, 900], "label": "cat"}]')
    assert boxes(parsed) == [("cat", 320, 0, 640, 432)]
    assert str(parsed.report) == "1 read, 1 repaired (clipped)"


@pytest.mark.parametrize("model_type", ["paligemma", "florence2", "qwen2_5_vl", "qwen3_vl"])
def test_prose_is_no_detection_answer(model_type):
    assert read(model_type, "I see a cat on a mat.").failed


@pytest.mark.parametrize(
    ("model_type", "text"), [("paligemma", ""), ("florence2", ""), ("qwen3_vl", "```json\n[]\n```")]
)
def test_nothing_found_is_an_answer(model_type, text):
    parsed = read(model_type, text)
    assert not parsed.failed and str(parsed.report) == "Nothing found"


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"bbox_2d":' * 5000, "<loc0001>" * 20_000, "a<loc_1>" * 20_000, "\x00"]
)
@pytest.mark.parametrize("model_type", ["paligemma", "florence2", "qwen2_5_vl", "qwen3_vl"])
def test_junk_raises_nothing(model_type, text):
    assert read(model_type, text).objects == []


@pytest.mark.parametrize(
    ("model_type", "task", "text", "words"),
    [
        ("paligemma", "caption", "brief", "<image>caption en"),
        ("paligemma", "detect", "owl ; lamp", "<image>detect owl ; lamp"),
        ("paligemma", "vqa", "how many {cats}?", "<image>answer en how many {cats}?"),
        ("florence2", "caption", "detailed", "<MORE_DETAILED_CAPTION>"),
        ("florence2", "detect", "", "<OD>"),
        ("florence2", "detect", "owl", "<OPEN_VOCABULARY_DETECTION>owl"),
        ("blip-2", "vqa", "how many?", "Question: how many? Answer:"),
        ("blip", "caption", "brief", ""),
        ("smolvlm", "compare", "What changed?", "What changed?"),
    ],
)
def test_how_tasks_are_asked(model_type, task, text, words):
    assert dialect_of(model_type).words(task, text) == words


@pytest.mark.parametrize(
    ("model_type", "task", "text", "message"),
    [
        ("smolvlm", "detect", "", "SmolVLM cannot write boxes"),
        ("never_heard_of", "detect", "", "This model cannot write boxes"),
        ("florence2", "vqa", "how many?", "Florence-2 cannot answer questions"),
        ("paligemma", "compare", "What changed?", "PaliGemma cannot compare images"),
        ("blip", "caption", "detailed", "This BLIP has no caption style 'detailed', only: brief"),
        ("blip", "vqa", "how many?", "This BLIP cannot answer questions"),
        ("qwen3_vl", "compare", TASKS["compare"].prompts["boxes"], "Qwen3-VL cannot box what changed"),
    ],
)
def test_what_a_family_cannot_do_is_said(model_type, task, text, message):
    with pytest.raises(EngineError, match=message):
        dialect_of(model_type).words(task, text)


@pytest.mark.parametrize("dialect", EVERY, ids=lambda dialect: dialect.name)
def test_a_task_that_is_offered_can_be_asked(dialect):
    assert dialect.tasks
    for task in dialect.tasks:
        text = {"caption": "brief", "detect": "", "vqa": "what?", "compare": "what?"}[task]
        assert isinstance(dialect.words(task, text), str)
    if dialect.chat:
        assert dialect.captions.keys() == set(TASKS["caption"].prompts.values())


def test_a_chat_opens_with_its_images_and_keeps_its_turns():
    turns = [
        {"role": "user", "task": "vqa", "text": "how many?"},
        {"role": "assistant", "task": None, "text": "two"},
        {"role": "user", "task": "vqa", "text": "and dogs?"},
    ]
    assert dialect_of("qwen3_vl").messages(turns, ["first", "second"]) == [
        {
            "role": "user",
            "content": [
                {"type": "image", "image": "first"},
                {"type": "image", "image": "second"},
                {"type": "text", "text": "how many?"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": [{"type": "text", "text": "and dogs?"}]},
    ]
    with pytest.raises(EngineError, match="LLaVA takes at most one image at a time, not 2"):
        dialect_of("llava").messages(turns, ["first", "second"])


def test_one_model_type_may_have_two_dialects():
    assert dialect_of("blip", "BlipForConditionalGeneration").tasks == {"caption"}
    assert dialect_of("blip", "BlipForQuestionAnswering").tasks == {"vqa"}
