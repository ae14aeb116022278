"""Training: a stopped run goes on as if it had never stopped, and packed rows say what separate chats would."""

import json
import random

import numpy as np
import pytest
import torch

from tests.tiny import tiny_config, tiny_model
from train import loop
from train.icons import asking, packing, rendering, vision
from train.icons.multitask import AuxiliaryHead, batch_losses
from vlm_demo import scenes
from vlm_demo.model import MiniVLMProcessor

BUNDLED = "checkpoints/minivlm-icons"


def train(folder, steps, stop_at=None):
    """A small regression; with `stop_at` it is interrupted there, as by Ctrl+C."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 1)

    def losses(step):
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        seen = torch.nn.functional.dropout(x, 0.2)
        return {"loss": (layer(seen) - x.sum(1, keepdim=True)).square().mean()}

    loop.run(folder, {"layer": layer}, losses, steps=steps, lr=1e-2, save_every=50)
    return layer


def test_a_stopped_run_ends_with_the_weights_of_one_that_never_stopped(tmp_path):
    whole = train(tmp_path / "whole", 200)
    with pytest.raises(SystemExit, match="same command resumes"):
        train(tmp_path / "stopped", 200, stop_at=137)
    resumed = train(tmp_path / "stopped", 200)
    assert torch.equal(whole.weight, resumed.weight)
    logs = [json.loads((tmp_path / name / "log.json").read_text()) for name in ("whole", "stopped")]
    assert logs[0] == logs[1]
    assert (tmp_path / "stopped" / "losses.png").stat().st_size > 1000


def test_targets_point_to_the_object_over_each_cell():
    boxes = torch.zeros(1, 6, 4)
    boxes[0, 0] = torch.tensor([0.02, 0.02, 0.5, 0.5])
    boxes[0, 1] = torch.tensor([0.75, 0.75, 0.2, 0.2])
    owner, centre, edges = vision.targets(boxes, 8)
    assert owner[0, 1, 1] == 0 and owner[0, 6, 6] == 1 and owner[0, 0, 7] == -1
    assert centre.sum() == 2
    row, column = 1, 2  # the cell's middle is (2.5 / 8, 1.5 / 8)
    left, top, right, bottom = edges[0, :, row, column].tolist()
    assert (left, top) == pytest.approx((2.5 / 8 - 0.02, 1.5 / 8 - 0.02))
    assert (right, bottom) == pytest.approx((0.52 - 2.5 / 8, 0.52 - 1.5 / 8))


@pytest.fixture(scope="module")
def processor():
    return MiniVLMProcessor.from_pretrained(BUNDLED)


@pytest.fixture(scope="module")
def steps(processor):
    rng = np.random.default_rng(0)
    blank = {
        kind: [rng.normal(size=(rendering.CHUNK, n, packing.IMAGE_SEQ_LENGTH, 1)).astype(np.float16).view(np.int16)]
        for kind, n in rendering.GROUPS.items()
    }
    return packing.Steps(processor, blank)


def test_a_packed_branch_has_the_tokens_and_labels_of_the_same_chat_alone(steps, processor):
    scene = scenes.make_scene(4)
    conversations = asking.scene_conversations(scene, random.Random(0))
    ids, labels, positions, block, _, _ = steps.pack(conversations, 1)
    for number, conversation in enumerate(conversations, 1):
        turns = []
        for task, qa in conversation.turns:
            turns += [{"role": "user", "task": task, "text": qa.question}, {"role": "assistant", "text": qa.answer}]
        alone, alone_labels = processor.encode_chat_with_labels(turns, 1)
        mine = [i for i, b in enumerate(block) if b in (0, number)]
        assert [ids[i] for i in mine] == alone
        assert [labels[i] for i in mine] == alone_labels
        assert [positions[i] for i in mine] == list(range(len(alone)))


def test_the_same_step_gives_the_same_batch_and_another_step_another(steps):
    first, again, other = steps[3], steps[3], steps[4]
    assert all(torch.equal(a["input_ids"], b["input_ids"]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0]["labels"], other[0]["labels"])


def test_words_of_the_world_are_one_token_each(steps, processor):
    for words in steps.words.values():
        assert len(words) == 4
    assert len(processor.encode_text(' {"objects": [{"label": "cat", "bbox": [0.120, 0.455, 0.200, 0.300]}]}')) == 9


def test_a_branch_does_not_see_another_branch(processor):
    """Changing one question must not change the loss of the others."""
    config = tiny_config(processor)
    config.image_seq_length = config.vision_seq_length = packing.IMAGE_SEQ_LENGTH
    config.text_config.vocab_size = len(processor.tokenizer)
    model = tiny_model(config)
    model.model.language_model.set_attn_implementation("eager")  # as training does
    channels = model.model.projector.linear_1.in_features
    features = np.zeros((1, packing.IMAGE_SEQ_LENGTH, channels), np.int16)
    maker, auxiliary_head = packing.Steps(processor, {}), AuxiliaryHead(config.text_config.hidden_size)
    scene = scenes.make_scene(4)
    questions = scene.questions()

    def losses(second):
        pairs = ((questions[0], "vqa"), (second, "which"))
        conversations = [asking.Conversation([("vqa", qa)], kind) for qa, kind in pairs]
        batch = maker.batch([packing.Group(conversations, list(features), (scene,))])
        _, _, totals, _ = batch_losses(model, auxiliary_head, batch)
        return dict(zip(packing.KINDS, totals.tolist(), strict=True))

    one, two = losses(questions[1]), losses(questions[-1])
    assert one["vqa"] == pytest.approx(two["vqa"], rel=1e-3)
    assert one["which"] != pytest.approx(two["which"], rel=1e-3)


def test_a_step_marks_what_changed_and_which_image_each_object_is_in(processor):
    pair = next(pair for pair in map(rendering.group, ["pairs"] * 50, range(50)) if pair.change_text.endswith("added."))
    added = next(change.after for change in pair.changes if change.kind == "added")
    blank = [np.zeros((packing.IMAGE_SEQ_LENGTH, 1), np.int16)] * 2
    maker = packing.Steps(processor, {})
    change_labels = packing.change_labels_of(pair, random.Random(0))
    group = packing.Group(asking.pair_conversations(pair, random.Random(0)), blank, pair.scenes, change_labels)
    targets = maker.objects([packing.Group([], blank[:1], pair.scenes[:1]), group])
    first, second = (len(scene.objects) for scene in pair.scenes)
    assert targets["numbers"].tolist() == [0] * 2 * first + [1] * second
    changed = {tuple(row[:2]): row[2] for row in targets["changes"].tolist()}  # (image, cell) -> what happened
    assert changed[2, packing.cell_of(added)] == packing.CHANGE_LABELS.index("added")
    assert set(changed) >= {(2, packing.cell_of(item)) for item in pair.scenes[1].objects}
    asked = {conversation.turns[0][1].answer for conversation in group.conversations if conversation.kind == "changes"}
    assert asked and pair.change_text in {conversation.turns[0][1].answer for conversation in group.conversations}


def test_questions_after_one_kind_of_change_are_true():
    for seed in range(40):
        pair = scenes.make_pair(seed)
        answers = {qa.kind: qa.answer for qa in pair.questions(seed)}
        for kind in scenes.several.KINDS:
            texts = [change.text for change in pair.changes if change.kind == kind]
            assert answers[f"what was {kind}"] == (" ".join(texts) or scenes.several.ASKED[kind][1])
        assert answers["are they same"] == ("no" if pair.changes else "yes")
