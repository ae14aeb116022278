"""From what people type to calls of the model: what is to be found, and what Chat does with tags."""

from dataclasses import replace

import pytest
from PIL import Image

from tests.fake_engine import fake_engine, oracle
from tests.served_page import SCENE
from vlm_demo.results import EngineError, SamplingParameters
from vlm_demo.router import Route, Router
from vlm_demo.ui import jobs
from vlm_demo.ui.jobs import in_chat, named_in, plan
from vlm_demo.ui.tabs import auto

IMAGE = Image.new("RGB", (8, 8))


class Recorder:
    """An engine that only writes down how it is called."""

    def __getattr__(self, name):
        return lambda *arguments, **named: (name, *arguments, *named.values())


@pytest.fixture(scope="module")
def router():
    return Router.load()


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        ("find the red one", "the red one"),
        ("the cat left of the tree", "the cat left of the tree"),
        ("How many hippos", "hippos"),
        ("Please find the dogs in the picture", "the dogs"),
        ("show me where the cats are", "the cats"),
        ("draw boxes around all the cats, please", "all the cats"),
        ("everything red", "everything red"),
        ("box everything", ""),
        ("and where?", ""),
        ("where are they?", ""),
        ("Describe the picture and box everything.", ""),
    ],
)
def test_the_words_for_what_is_to_be_found(request_, what):
    assert named_in(request_) == what


def test_boxes_are_of_what_the_question_spoke_of():
    jobs = plan(Recorder(), {"vqa": "How many hippos", "detect": "and where?"}, [IMAGE])
    assert jobs[1].start(None, None)[0] == "detect_stream" and jobs[1].start(None, None)[-1] == "hippos"


def test_what_changed_is_asked_as_the_compare_tab_does():
    engine = fake_engine()  # whose model knows scenes
    jobs = plan(engine, {"compare": "What changed?"}, [IMAGE, IMAGE])
    assert [job.title for job in jobs] == ["Comparison", "Boxes of the change"]
    assert len(plan(engine, {"compare": "Which has more objects?"}, [IMAGE, IMAGE])) == 1
    with pytest.raises(EngineError, match="here are 3"):
        plan(engine, {"compare": "what changed?"}, [IMAGE] * 3)


def asked(router, text, images=1, turns=()):
    return in_chat(Recorder(), router, text, [IMAGE] * images, turns)(None, None)


def test_chat_asks_and_compares(router):
    assert asked(router, "What colour is the cat?")[:1] == ("answer_stream",)
    assert asked(router, "[VQA] What colour?")[2] == "What colour?"
    assert asked(router, "the difference between them", 2)[0] == "compare_stream"
    assert asked(router, "Which has more objects?", 2)[0] == "compare_stream"
    assert asked(router, "[CAPTION] in detail")[0] == "caption_stream"


@pytest.mark.parametrize(
    ("text", "images", "words"),
    [
        ("[OD] cats", 1, "Detect or Auto"),
        ("[COMPARE] what changed?", 1, "choose something else"),
        ("[VQA]", 1, "question"),
    ],
)
def test_a_tag_that_chat_cannot_follow_is_refused_in_words(router, text, images, words):
    with pytest.raises(EngineError, match=words):
        asked(router, text, images)


def test_several_tasks_become_several_calls_in_turn() -> None:
    engine = fake_engine(oracle(SCENE))
    image = SCENE.image(32)
    plan = jobs.plan(engine, {"vqa": "how many objects?", "detect": "box them"}, [image, image])
    assert [(job.title, job.image) for job in plan] == [
        ("Answer", 0),
        ("Detect, image 1", 1),
        ("Detect, image 2", 2),
    ]
    plan[0].start(SamplingParameters(), None).result()
    assert engine.runner.asked[-1][-1]["text"] == "how many objects?"


def test_what_was_understood_can_be_overruled() -> None:
    shares = {"caption": 0.1, "detect": 0.9, "vqa": 0.8, "compare": 0.0}
    parts = {"vqa": "how many?", "detect": "and where?"}
    route = Route(["vqa", "detect"], shares, False, None, "how many, and where?", parts)
    runs, card = auto.understand(route)
    assert (
        runs == parts and "Answer and Detect. One after the other." in card and card.count('aria-pressed="true"') == 2
    )
    runs, card = auto.understand(route, "caption")
    assert runs == {"caption": "how many, and where?"} and "As you said: Caption." in card
    unsure = replace(route, unsure=True, note="Do you want boxes?")
    runs, card = auto.understand(unsure)
    assert runs == {} and "Do you want boxes?" in card and 'aria-pressed="true"' not in card
    assert auto.understand(unsure, "vqa")[0] == {"vqa": "how many, and where?"}


@pytest.mark.parametrize(
    ("text", "style"),
    [("alt text please", "alt"), ("describe it in detail", "detailed"), ("what a salty scene", "brief")],
)
def test_caption_style_of_words(text: str, style: str) -> None:
    assert jobs.style_of(text) == style


@pytest.mark.parametrize(
    ("task", "text", "words"),
    [("caption", None, "brief"), ("detect", None, ""), ("detect", " the dogs ", "the dogs"), ("vqa", "Why?", "Why?")],
)
def test_one_image_is_asked_about_by_the_name_of_a_task(task: str, text: str | None, words: str) -> None:
    engine = fake_engine("yes")
    jobs.about_one(engine, task, SCENE.image(32), text)(SamplingParameters(), None, None).result()
    turn = engine.runner.asked[-1][-1]
    assert (turn["task"], turn["text"]) == (task, words)
