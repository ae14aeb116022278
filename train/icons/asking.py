"""What training asks about icon scenes: which captions, boxes and questions, and how often each kind."""

import random
from dataclasses import dataclass

from vlm_demo.scenes import LABELS, QA, Pair, Scene
from vlm_demo.scenes.language import plural
from vlm_demo.scenes.several import selection_questions
from vlm_demo.scenes.world import detections_json
from vlm_demo.tasks import TASKS

# Questions that the model learns at once are asked less often than those that must find a named thing first.
EASY = ("which is leftmost", "which is rightmost", "which is highest", "which is lowest", "which is biggest")
EASY += ("which is smallest", "where is this", "how many in all", "cannot know")
CAPTIONS = 3  # of one scene: counting and naming group by group takes long to learn
RELATIONS = 6  # more questions such as "is the cat left of the dog?" for a scene: the last thing that is learned


@dataclass
class Branch:
    """Turns that follow a picture prefix, and the kind of loss that they count for."""

    turns: list[tuple[str, QA]]  # (task, question and answer)
    kind: str


def sample_questions(found: list[QA], count: int, rng: random.Random) -> list[QA]:
    """Questions drawn kind by kind, so that rare kinds are asked as often as common ones, and easy ones less often."""
    by_kind: dict[str, list[QA]] = {}
    for qa in found:
        by_kind.setdefault(qa.kind, []).append(qa)
    # Weighted sampling without replacement (Efraimidis and Spirakis 2006).
    keys = {kind: rng.random() ** (4.0 if kind in EASY else 1.0) for kind in by_kind}
    picked = sorted(by_kind, key=keys.__getitem__, reverse=True)[:count]
    return [rng.choice(by_kind[kind]) for kind in picked]


def boxes_of(scene: Scene, rng: random.Random) -> QA:
    """Detection of one named kind of thing only, now and then one that is not there."""
    label = rng.choice(scene.objects).label if rng.random() < 0.85 else rng.choice(LABELS)
    wanted = [item for item in scene.objects if item.label == label]
    return QA(rng.choice((label, plural(label), f"the {label}")), detections_json(wanted), "")


def caption_of(scene: Scene, rng: random.Random) -> QA:
    """A caption in some style and wording."""
    style = rng.choices(list(TASKS["caption"].prompts), weights=(50, 30, 20))[0]
    variant = rng.choice((0, 0, 0, 1, 2))
    prompt = TASKS["caption"].prompts[style] if style != "brief" or rng.random() < 0.8 else ""
    return QA(prompt, scene.caption(style, variant), style)


def about_image(qa: QA, number: int, rng: random.Random) -> QA:
    """The question asked of one of several pictures."""
    bare = qa.question.rstrip("?.")
    wordings = [
        f"Image {number}: {qa.question[0].lower()}{qa.question[1:]}",
        f"In image {number}, {qa.question[0].lower()}{qa.question[1:]}",
    ]
    if "picture" not in bare:
        wordings.append(f"{bare} in image {number}?")
    return QA(rng.choice(wordings), qa.answer, qa.kind)


def scene_branches(scene: Scene, rng: random.Random) -> list[Branch]:
    """Some captions, one detection, boxes of one thing, many questions and two conversations."""
    branches = [
        *[Branch([("caption", caption_of(scene, rng))], "caption") for _ in range(CAPTIONS)],
        Branch([("detect", QA("", scene.detections_json(), ""))], "detect"),
        Branch([("detect", boxes_of(scene, rng))], "named"),
    ]
    found = scene.questions(rng.getrandbits(40))
    branches += [Branch([("vqa", qa)], "vqa") for qa in sample_questions(found, 8, rng)]
    # Two drawings of the questions name the same two things in either order, with the opposite answer.
    relations = [qa for qa in found + scene.questions(rng.getrandbits(40)) if qa.kind.startswith("is it")]
    rng.shuffle(relations)
    branches += [Branch([("vqa", qa)], "relation") for qa in relations[:RELATIONS]]
    branches += [Branch([("vqa", qa) for qa in scene.chat(rng.getrandbits(40))], "vqa") for _ in range(2)]
    return branches


def several_branches(members: tuple[Scene, ...], rng: random.Random, which: int = 4, about: int = 2) -> list[Branch]:
    """`which` questions of the form "which image ...?", and `about` questions about one of the pictures."""
    found = selection_questions(members, rng)
    by_kind = sample_questions(found, 4, rng)
    more = rng.sample(found, min(len(found), which))
    branches = [Branch([("compare", qa)], "which") for qa in dict.fromkeys(by_kind + more)][:which]
    for _ in range(about):
        number = rng.randint(1, len(members))
        found = members[number - 1].questions(rng.getrandbits(40))
        qa = rng.choice([qa for qa in found if qa.kind != "cannot know"])
        branches.append(Branch([("vqa", about_image(qa, number, rng))], "vqa"))
    return branches


def pair_branches(pair: Pair, rng: random.Random) -> list[Branch]:
    """What changed, in words and in boxes, and questions after single kinds of change."""
    prompts = TASKS["compare"].prompts
    wording = rng.choice(
        (
            prompts["change"],
            prompts["change"],
            "What is different?",
            "Spot the difference.",
            "What has changed between the images?",
        )
    )
    asked = pair.questions(rng.getrandbits(40))
    happened = [qa for qa in asked if qa.answer in pair.change_text]
    single = [*rng.sample(happened, min(len(happened), 1)), *rng.sample(asked, 2)]
    return [
        Branch([("compare", QA(wording, pair.change_text, ""))], "change"),
        Branch([("compare", QA(prompts["boxes"], pair.boxes_json, ""))], "boxes"),
        *[Branch([("compare", qa)], "changes") for qa in dict.fromkeys(single)],
    ]
