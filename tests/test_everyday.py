"""Everyday questions about icon scenes: what is said of them is true, and held-out wordings stay held out."""

import random
import re

import pytest

from train.evaluation import everyday as held_out
from train.evaluation import pointing
from train.icons import asking, typing
from vlm_demo import scenes
from vlm_demo.detection import parse
from vlm_demo.results import Result
from vlm_demo.runners.questions import is_open
from vlm_demo.scenes.asking import COLORS, LABELS, QA
from vlm_demo.scenes.everyday import across, everyday, named
from vlm_demo.scenes.everyday.vocabulary import FOREIGN, many
from vlm_demo.scenes.everyday.wording import word
from vlm_demo.scenes.grammar import say
from vlm_demo.scenes.language import plural
from vlm_demo.scenes.world import detections_json

SEEDS = range(100)
HELD_OUT = [
    (split, kind, wording)
    for split, kinds in held_out.WORDINGS.items()
    for kind, wordings in kinds.items()
    for wording in wordings
]
ASKED = [(scene, qa) for seed in SEEDS for scene in [scenes.make_scene(seed)] for qa in everyday(scene, seed)]


def test_a_template_is_filled_with_one_of_its_choices():
    sayings = {say(random.Random(seed), "How many (red|blue (big|small)|) cats ?") for seed in range(50)}
    assert sayings == {"How many red cats?", "How many blue big cats?", "How many blue small cats?", "How many cats?"}


@pytest.mark.parametrize(
    ("question", "stated"),
    [
        ("Where is the cat?", "where the cat is"),
        ("Where are the red cats located in this picture?", "where the red cats are located in this picture"),
        ("What colour is the cat?", "what colour the cat is"),
        ("What is the colour of the cat?", "what the colour of the cat is"),
        ("How many cats are there in the picture?", "how many cats there are in the picture"),
        ("How many cats do you see?", "how many cats you see"),
        ("Which image shows a cat?", "which image shows a cat"),
        ("Is there a cat?", "(if|whether) there is a cat"),
    ],
)
def test_an_indirect_question_has_the_order_of_a_statement(question, stated):
    asked = {typing.indirect(question, random.Random(seed)) for seed in range(30)}
    asked = {text for text in asked if not re.search(r", (yes or no|or not)\?$", text)}
    assert len(asked) > 8
    assert all(re.fullmatch(rf"[A-Z][\w' ]+ {stated}[?.]", text) for text in asked), asked


@pytest.mark.parametrize(
    "question", ["Is there a cat or a dog?", "Where is there a cat?", "Cats: how many?", "the red cat"]
)
def test_what_cannot_be_asked_indirectly_stays_as_it_is(question):
    assert {typing.indirect(question, random.Random(seed)) for seed in range(10)} == {question}


def test_questions_after_a_place_a_thing_or_a_colour_never_get_yes_or_no_or_json():
    for _, qa in ASKED:
        if is_open(qa.question):
            assert qa.answer not in ("yes", "no") and "{" not in qa.answer, qa


def test_answers_to_yes_or_no_questions_are_not_all_alike():
    for kind in (
        "is there",
        "has it this colour",
        "is it beside",
        "is anything this colour",
        "is it bigger or smaller",
    ):
        answers = [qa.answer for _, qa in ASKED if qa.kind == kind]
        assert 0.2 < answers.count("yes") / len(answers) < 0.8, kind


def test_counts_are_counted():
    for scene, qa in ASKED:
        if qa.kind == "how many of a colour":
            color = next(color for color in COLORS if re.search(rf"\b{color}\b", qa.question))
            assert int(qa.answer) == sum(item.color == color for item in scene.objects)
        if qa.kind == "how many in all":
            assert int(qa.answer) == len(scene.objects)


def test_what_is_not_there_is_said_not_to_be_there():
    answered = [(scene, qa) for scene, qa in ASKED if qa.kind == "is not there"]
    assert len(answered) > 40
    for scene, qa in answered:
        gone = qa.answer.removeprefix("There is no ").rstrip(".")
        assert gone in qa.question and gone not in {item.label for item in scene.objects}


def test_words_mean_the_objects_that_they_come_with():
    """Checked where the words can be read again: colour, label and everything."""
    checked = 0
    for seed in range(300):
        scene, rng = scenes.make_scene(seed), random.Random(seed)
        words, wanted = named.named(scene, rng)
        colors = [color for color in COLORS if re.search(rf"\b{color}\b", words)]
        kinds = [label for label in LABELS if re.search(rf"\b({label}|{plural(label)})\b", words)]
        if re.fullmatch(r".*\b(the|all|a|an|every|any)? ?(\w+) (\w+)", words) and colors and len(kinds) == 1:
            assert all(item.color == colors[0] and item.label == kinds[0] for item in wanted), words
            checked += 1
        if re.search(r"\beverything( in the \w+)?$", words):
            assert len(wanted) == len(scene.objects)
    assert checked > 20


def test_expressions_mean_one_object_only():
    for seed in range(150):
        scene = scenes.make_scene(seed)
        phrases = [set(named.expressions(scene, item)) for item in scene.objects]
        for number, item in enumerate(scene.objects):
            assert named.expression(scene, item) in phrases[number]
            others = set().union(*(phrases[k] for k in range(len(phrases)) if k != number))
            same = [other for other in scene.objects if other.name == item.name]
            assert len(same) > 2 or not phrases[number] & others


def test_which_image_names_all_of_them_or_none():
    answers = set()
    for seed in range(60):
        rng = random.Random(seed)
        members = tuple(scenes.make_scene(3 * seed + k) for k in range(rng.randint(2, 3)))
        for qa in across.which(members, rng):
            if qa.kind == "which image: label" and not any(many(word) in qa.question for word in FOREIGN):
                label = next(x for x in LABELS if re.search(rf"\b({x}|{plural(x)})\b", qa.question))
                hits = [n for n, scene in enumerate(members, 1) if any(i.label == label for i in scene.objects)]
                assert [int(n) for n in re.findall(r"\d", qa.answer)] == hits
            answers.add(qa.answer)
    assert across.NONE in answers and "Image 1 and image 2." in answers and across.SAME_NUMBER in answers


def test_a_question_about_one_of_several_images_says_which():
    number = r"\b(image|picture|pic|photo|number) (number )?(# ?)?([12]|one|two)\b"
    place = r"\b(first|second|last|left|right) (image|picture|photo|pic|drawing|one)|\bon the (left|right)"
    members = tuple(scenes.make_scene(k) for k in range(2))
    for seed in range(60):
        question = across.about_one(members, random.Random(seed)).question.lower()
        assert re.search(rf"{number}|{place}|\b(1st|2nd)\b", question)


def test_no_template_makes_a_held_out_wording():
    trained = {held_out.generic(qa.question) for _, qa in ASKED}
    for seed in range(150):
        members = (scenes.make_scene(seed), scenes.make_scene(seed + 1000))
        rng = random.Random(seed)
        asked = [*across.which(members, rng), *across.together(members, rng), across.each(members, rng)]
        trained |= {held_out.generic(qa.question) for qa in asked} | {held_out.generic(word(rng, "difference"))}
    assert len(HELD_OUT) >= 150 and len({wording for *_, wording in HELD_OUT}) > 140
    for wordings in held_out.WORDINGS.values():
        assert len({wording for sayings in wordings.values() for wording in sayings}) > 130
    made = held_out.HELD_OUT & trained
    assert not made, ", ".join(sorted(made))  # these alone are shown, so that the others stay unseen


def test_training_leaves_out_what_is_asked_in_a_held_out_wording():
    questions = [re.sub(r"\{\w+\}", "cat", wording) for _, _, wording in HELD_OUT]
    conversations = [asking.Conversation([("vqa", QA(question, "", ""))], "vqa") for question in questions]
    other = asking.Conversation([("vqa", QA("How many cats are there?", "2", ""))], "vqa")
    assert asking.allowed([*conversations, other]) == [other]


def test_a_held_out_question_is_filled_in_and_has_an_answer():
    for _, kind, wording in HELD_OUT:
        one = held_out.ask(kind, wording, 0)
        assert "{" not in one.question and one.answers and held_out.is_right(one.answers[0], one.answers), wording
        assert not held_out.is_right("something else", one.answers)


def test_the_splits_share_no_wording():
    development, test = (
        {held_out.generic(wording) for wordings in kinds.values() for wording in wordings}
        for kinds in held_out.WORDINGS.values()
    )
    assert not development & test


@pytest.mark.parametrize(
    ("prediction", "right", "same"),
    [
        ("a red cat and two blue dogs", "two blue dogs and a red cat", True),
        ("Red cat.", "the red cat", True),
        ("two", "2", True),
        ("a red cat", "a red cat and a dog", False),
    ],
)
def test_answers_are_the_same_in_any_order_and_case(prediction, right, same):
    assert held_out.is_right(prediction, [right]) == same


@pytest.mark.parametrize("left_out, right", [(0, 1.0), (1, 0.0)])
def test_what_is_named_is_right_where_every_box_is_there(monkeypatch, left_out, right):
    by_image = {scene.image(pointing.SIDE).tobytes(): scene for scene in map(scenes.make_scene, range(2))}

    class Engine:
        def detect(self, image, what):
            objects = by_image[image.tobytes()].objects
            text = detections_json(list(objects[: len(objects) - left_out]))
            return Result("detect", what, text, parsed=parse(text, image.size))

        def describe_box(self, image, box):
            return Result("vqa", "", "a thing")

        def compare(self, images, question):
            return Result("compare", question, across.NONE)

    monkeypatch.setattr(pointing, "named", lambda scene, rng: ("everything", scene.objects))
    figures = pointing.measure_pointing(Engine(), 2, seed=0)
    assert figures["named"] == right and figures["n_named"] == 2
    assert figures["words_for_box"] == 0 and figures["none_of_them"] == 1
