"""What training asks about icon scenes: which captions, boxes and questions, and how often each kind; never in a
held-out wording."""

import random
from dataclasses import dataclass, replace

from train.evaluation.everyday import is_held_out
from train.icons.typing import typed
from vlm_demo.scenes import QA, Pair, Scene
from vlm_demo.scenes.everyday import MAKERS, across, named
from vlm_demo.scenes.everyday.wording import word
from vlm_demo.scenes.selection import selection_questions
from vlm_demo.scenes.world import detections_json
from vlm_demo.tasks import TASKS, box_question

# Questions that the model learns at once are asked less often than those that must find a named thing first.
EASY = ("which is leftmost", "which is rightmost", "which is highest", "which is lowest", "which is biggest")
EASY += ("which is smallest", "where is this", "how many in all", "cannot know")
CAPTIONS = 1  # of one scene: counting and naming group by group takes long to learn
RELATIONS = 2  # more questions such as "is the cat left of the dog?" for a scene: the last thing that is learned
NAMED = 2  # detections of what is named
BOXES = 2  # boxes for which words are wanted
PLAIN = 3  # questions in plain wordings,
EVERYDAY = 16  # and in everyday ones, of which
TURNS = 4  # make one conversation, so that turns before a question do not mislead


@dataclass
class Conversation:
    """Turns that follow the images, and the kind of loss that they count for."""

    turns: list[tuple[str, QA]]  # (task, question and answer)
    kind: str


def allowed(conversations: list[Conversation]) -> list[Conversation]:
    """Those that ask nothing in a held-out wording, which a template or a slip of the typist may hit upon."""
    return [one for one in conversations if not any(is_held_out(qa.question) for _, qa in one.turns)]


def sample_questions(candidates: list[QA], count: int, rng: random.Random) -> list[QA]:
    """Questions drawn kind by kind, so that rare kinds are asked as often as common ones, and easy ones less often."""
    by_kind: dict[str, list[QA]] = {}
    for qa in candidates:
        by_kind.setdefault(qa.kind, []).append(qa)
    # Weighted sampling without replacement (Efraimidis and Spirakis 2006).
    keys = {kind: rng.random() ** (4.0 if kind in EASY else 1.0) for kind in by_kind}
    picked = sorted(by_kind, key=keys.__getitem__, reverse=True)[:count]
    return [rng.choice(by_kind[kind]) for kind in picked]


def boxes_of(scene: Scene, rng: random.Random) -> QA:
    """Detection of what some words name only, now and then of what is not there."""
    words, named_objects = named.named(scene, rng)
    return QA(typed(words, rng), detections_json(named_objects), "")


def words_for_box(scene: Scene, rng: random.Random) -> QA:
    """What is in a box that a person drew, now and then around nothing."""
    item = rng.choice(scene.objects)
    box = named.empty_box(scene, rng) if rng.random() < 0.15 else None
    if box is not None:
        return QA(box_question(box), named.NOTHING, "box")
    drawn = named.jittered(item.bbox, rng, rng.choice((0.01, 0.04)))
    return QA(box_question(drawn), named.expression(scene, item), "box")


def everyday_questions(scene: Scene, count: int, rng: random.Random) -> list[QA]:
    """Questions as people type them, of kinds drawn at random."""
    makers = rng.sample(MAKERS, 6)
    candidates = sample_questions([qa for maker in makers for qa in maker(scene, rng)], count, rng)
    return [replace(qa, question=typed(qa.question, rng)) for qa in candidates]


def caption_of(scene: Scene, rng: random.Random) -> QA:
    """A caption in some style and wording."""
    style = rng.choices(list(TASKS["caption"].prompts), weights=(50, 30, 20))[0]
    variant = rng.choice((0, 0, 0, 1, 2))
    prompt = TASKS["caption"].prompts[style] if style != "brief" or rng.random() < 0.8 else ""
    return QA(prompt, scene.caption(style, variant), style)


def scene_conversations(scene: Scene, rng: random.Random) -> list[Conversation]:
    """Some captions, one detection, boxes of what is named, words for boxes, many questions and a conversation."""
    conversations = [
        *[Conversation([("caption", caption_of(scene, rng))], "caption") for _ in range(CAPTIONS)],
        Conversation([("detect", QA("", scene.detections_json(), ""))], "detect"),
        *[Conversation([("detect", boxes_of(scene, rng))], "named") for _ in range(NAMED)],
        *[Conversation([("vqa", words_for_box(scene, rng))], "box") for _ in range(BOXES)],
    ]
    asked = everyday_questions(scene, EVERYDAY, rng)
    conversations.append(Conversation([("vqa", qa) for qa in asked[:TURNS]], "everyday"))
    conversations += [Conversation([("vqa", qa)], "everyday") for qa in asked[TURNS:]]
    candidates = scene.questions(rng.getrandbits(40))
    plain = sample_questions(candidates, PLAIN, rng)
    # Two drawings of the questions name the same two things in either order, with the opposite answer.
    relations = [qa for qa in candidates + scene.questions(rng.getrandbits(40)) if qa.kind.startswith("is it")]
    rng.shuffle(relations)
    conversations += [Conversation([("vqa", qa)], "vqa") for qa in plain]
    conversations += [Conversation([("vqa", qa)], "relation") for qa in relations[:RELATIONS]]
    return allowed([*conversations, Conversation([("vqa", qa) for qa in scene.chat(rng.getrandbits(40))], "vqa")])


def several_conversations(
    members: tuple[Scene, ...], rng: random.Random, which: int = 4, about: int = 2
) -> list[Conversation]:
    """`which` questions about which of the images, as many about all of them, and `about` about one of them."""
    candidates = selection_questions(members, rng)
    plain = sample_questions(candidates, 2, rng)
    asked = sample_questions(across.which(members, rng), which, rng)
    asked += sample_questions(across.together(members, rng), which // 2, rng)
    asked += [across.about_one(members, rng) for _ in range(about)]
    if rng.random() < 0.5:
        asked.append(across.each(members, rng))
    conversations = [Conversation([("compare", qa)], "which") for qa in plain]
    for qa in asked:
        task = rng.choice(("vqa", "compare"))
        conversations.append(Conversation([(task, replace(qa, question=typed(qa.question, rng)))], "which"))
    return allowed(conversations)


def pair_conversations(pair: Pair, rng: random.Random) -> list[Conversation]:
    """What changed, in words and in boxes, and questions after single kinds of change."""
    prompts = TASKS["compare"].prompts
    wording = prompts["change"] if rng.random() < 0.4 else typed(word(rng, "difference"), rng)
    asked = pair.questions(rng.getrandbits(40))
    happened = [qa for qa in asked if qa.answer in pair.change_text]
    single = [*rng.sample(happened, min(len(happened), 1)), *rng.sample(asked, 2)]
    return allowed(
        [
            Conversation([(rng.choice(("compare", "compare", "vqa")), QA(wording, pair.change_text, ""))], "change"),
            Conversation([("compare", QA(prompts["boxes"], pair.boxes_json, ""))], "boxes"),
            *[Conversation([(rng.choice(("compare", "vqa")), qa)], "changes") for qa in dict.fromkeys(single)],
        ]
    )
