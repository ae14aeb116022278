"""Models of other families under the engine: the tokens of their own `generate()`, and what goes wrong in words."""

import time
from concurrent.futures import ThreadPoolExecutor

import families
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tiny import tiny_config, tiny_model, tiny_processor

from vlm_demo.engine import Engine, EngineError, Message, Request, SamplingParameters
from vlm_demo.images import load
from vlm_demo.runners import sampling
from vlm_demo.runners.base import TokenOutput
from vlm_demo.runners.hub import HubRunner
from vlm_demo.runners.minivlm import MiniVLMRunner


def image(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 70, 3), dtype=np.uint8))


@pytest.fixture
def open_engine(saved, monkeypatch):
    engines = []

    def open_one(family, **options):
        folder, processor = saved(family)
        if families.BUILDERS[family] in families.WITHOUT_VIDEOS:
            monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", lambda *args, **kwargs: processor)
        engines.append(Engine(folder, device="cpu", dtype="float32", **options))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.close()


def ask(engine, shown, **settings):
    """A question, or a caption where the family answers none."""
    settings = SamplingParameters(**{"max_new_tokens": 12, **settings})
    if "vqa" in engine.runner.family.dialect.tasks:
        return engine.answer_stream(shown, "how many cats?", settings=settings)
    return engine.caption_stream(shown[0], settings=settings)


def written(generation):
    generation.result()
    return [step.id for step in generation._request.sequence.outputs]


@pytest.mark.parametrize("family", families.BUILDERS)
def test_greedy_equals_the_familys_own_generate(family, saved, open_engine):
    engine = open_engine(family)
    answers = []
    for seed in range(3):
        shown = [image(seed), image(seed + 9)][: min(2, engine.runner.family.dialect.max_images)]
        generation = ask(engine, shown)
        ids = written(generation)
        model = engine.runner.model
        inputs = generation._request.sequence.prompt.inputs
        with torch.inference_mode():
            whole = model.generate(**inputs, max_new_tokens=12, do_sample=False, num_beams=1)[0].tolist()
        assert whole[-len(ids) :] == ids
        answers.append(ids)
    assert len({tuple(ids) for ids in answers}) > 1, "the images are looked at"


@pytest.mark.parametrize("family", ["idefics3", "florence2", "qwen2_5_vl"])
def test_company_changes_nothing(family, open_engine):
    engine = open_engine(family)
    settings = [{"temperature": 1.5, "top_p": 0.9, "seed": seed} for seed in range(4)] + [{}]
    alone = [written(ask(engine, [image(1)], **one)) for one in settings]
    together = [ask(engine, [image(1)], **one) for one in settings]
    assert [written(generation) for generation in together] == alone
    assert len({tuple(ids) for ids in alone}) > 2


@pytest.mark.parametrize("family", ["llava", "florence2"])
def test_each_token_comes_with_five_probable_ones(family, open_engine):
    for token in ask(open_engine(family), [image(2)]).result().tokens:
        shown = [probability for _, probability in token.alternatives]
        assert len(shown) == 5 and sum(shown) < 1 + 1e-6
        assert token.probability == pytest.approx(max(shown)), "greedy takes the most probable one"


def test_an_answer_streams_and_can_be_stopped_between_two_tokens(open_engine, monkeypatch):
    engine = open_engine("idefics3")
    engine.load()
    engine.runner._ends.clear()  # it would write on and on
    decode = engine.runner.decode
    monkeypatch.setattr(engine.runner, "decode", lambda sequences: (time.sleep(0.01), decode(sequences)))
    generation = ask(engine, [image(3)], max_new_tokens=400)
    lengths = []
    for partial in generation.partials(interval=0):
        lengths.append(partial.new_tokens)
        if partial.new_tokens >= 5:
            generation.cancel()
    assert partial.finish_reason == "cancelled" and 5 <= partial.new_tokens < 400
    assert lengths == sorted(lengths) and len(set(lengths)) > 3
    assert generation._request.sequence.state is None, "keys and values are let go of"
    assert ask(engine, [image(3)]).result().finish_reason == "length", "the next one is answered"


def test_only_so_many_images_as_the_family_takes(open_engine):
    assert open_engine("idefics3").compare([image(1), image(2)]).new_tokens > 0
    with pytest.raises(EngineError, match="LLaVA takes at most one image at a time, not 2"):
        open_engine("llava").compare([image(1), image(2)])
    with pytest.raises(EngineError, match="LLaVA cannot write boxes"):
        open_engine("llava").detect(image(1))


def test_a_chat_keeps_its_turns_and_a_family_that_does_not_chat_says_what_it_left_out(open_engine):
    history = [("how many cats?", "two"), ("and dogs?", "one")]
    short, long = (
        open_engine("llava").answer(image(1), "the red cat?", past, SamplingParameters(max_new_tokens=2))
        for past in ([], history)
    )
    assert long.prompt_tokens > short.prompt_tokens + 20 and long.dropped_turns == 0
    result = open_engine("blip2").answer(image(1), "the red cat?", history, SamplingParameters(max_new_tokens=2))
    assert result.dropped_turns == 2


def test_old_turns_make_room_and_a_question_that_is_too_long_is_refused(open_engine):
    engine = open_engine("llava")
    result = engine.answer(image(1), "how many?", [("the cat " * 30, "two")] * 8, SamplingParameters(max_new_tokens=20))
    assert 0 < result.dropped_turns < 8 and result.prompt_tokens <= 512 - 20
    with pytest.raises(EngineError, match="the model reads at most 512"):
        engine.answer(image(1), "why? " * 400)


@pytest.mark.parametrize("family", ["idefics3", "llava", "paligemma", "blip2", "blip_answers", "git", "qwen3_vl"])
def test_special_tokens_that_a_person_types_are_plain_text(family, open_engine):
    engine = open_engine(family)
    tokenizer = engine.runner.family.processor.tokenizer
    special = [token for token in tokenizer.all_special_tokens if len(token) > 1]
    plain = engine.runner.prepare([{"role": "user", "task": "vqa", "text": "cat"}], [load(image(1))], 5)
    typed = engine.runner.prepare(
        [{"role": "user", "task": "vqa", "text": "cat <image>" + "".join(special)}], [load(image(1))], 5
    )

    def count(prompt):
        return [prompt.ids.count(id) for id in tokenizer.all_special_ids]

    assert count(typed) == count(plain)
    assert engine.answer(image(1), "<image></s><bos>", settings=SamplingParameters(max_new_tokens=2)).new_tokens


@pytest.mark.parametrize(
    ("family", "answer", "box"),
    [
        ("paligemma", "<loc0256><loc0128><loc0768><loc0512> cat", [0.125, 0.25, 0.375, 0.5]),
        ("florence2", "cat<loc_100><loc_200><loc_300><loc_600>", [0.1005, 0.2005, 0.2, 0.4]),
        ("qwen2_5_vl", '[{"bbox_2d": [14, 7, 28, 21], "label": "cat"}]', [0.25, 0.25, 0.25, 0.5]),  # of 56x28
        ("qwen3_vl", '```json\n[{"bbox_2d": [100, 200, 300, 600], "label": "cat"}]\n```', [0.1, 0.2, 0.2, 0.4]),
    ],
)
def test_boxes_come_from_what_the_model_writes(family, answer, box, open_engine, monkeypatch):
    engine = open_engine(family)
    tokenizer = engine.runner.family.processor.tokenizer
    script = [*tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id]

    def write(logits, sequences, end_ids, suppressed):
        (sequence,) = sequences
        id = script[len(sequence.outputs)]
        sequence.outputs.append(TokenOutput(id, 0.5, [(id, 0.5)], id in end_ids))

    monkeypatch.setattr(sampling, "sample", write)
    result = engine.detect(image(1), SamplingParameters(max_new_tokens=200))
    assert (result.text, result.finish_reason) == (answer, "stop")
    (detected,) = result.parsed.objects
    assert detected["label"] == "cat" and detected["confidence"] is None
    assert detected["bbox"] == pytest.approx(box, abs=1e-4)
    assert result.parsed.size == (70, 40)


def test_no_boxes_are_read_from_what_changed(open_engine, monkeypatch):
    engine = open_engine("qwen3_vl")
    monkeypatch.setattr(engine.runner, "text", lambda ids: "{" * len(ids))
    result = engine.compare([image(1), image(2)], settings=SamplingParameters(max_new_tokens=3))
    assert result.text.startswith("{") and result.parsed is None


@pytest.mark.parametrize("family", ["idefics3", "paligemma", "git"])
def test_one_of_the_given_answers_is_written_and_how_probable_each_is_is_known(family, open_engine):
    engine, choices = open_engine(family), ("the red cat", "the blue dog", "the red cat and dog")
    for seed in (None, 1, 2):
        sampling = SamplingParameters(choices=choices, temperature=0 if seed is None else 5.0, seed=seed)
        result = engine.answer(image(1), "which one?", settings=sampling)
        assert result.text in choices and result.finish_reason == "stop"
    shares = engine.choose(image(1), "which one?", choices)
    assert sum(shares.values()) == pytest.approx(1) and len({round(share, 6) for share in shares.values()}) == 3


def test_what_a_family_can_do_is_known_before_anything_is_loaded(saved, monkeypatch):
    engine = Engine(saved("paligemma")[0], models=[saved(family)[0] for family in ("florence2", "git", "idefics3")])
    paligemma, florence, git, idefics = map(engine.capabilities, engine.models)
    assert paligemma.tasks == {"caption", "detect", "vqa"} and paligemma.named_objects and not paligemma.history
    assert florence.tasks == {"caption", "detect"} and florence.caption_styles == {"brief", "detailed", "alt"}
    assert git.tasks == {"caption", "vqa"} and git.caption_styles == {"brief"} and not git.boxes
    assert idefics.tasks == {"caption", "vqa", "compare"} and idefics.max_images == 8 and idefics.history
    assert not idefics.boxed_changes and idefics.choices and idefics.probabilities
    assert not any(backend.runner._family for backend in engine._models)
    engine.close()


def test_many_threads_may_prepare_at_once(open_engine):
    backend = open_engine("idefics3").runner
    turns = [[{"role": "user", "task": "vqa", "text": "cat " * number}] for number in range(1, 9)] * 6

    def prepare(turn):
        return backend.text(backend.prepare(turn, [load(image(1))], 5).ids)

    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(prepare, turns))
    assert [text.count("cat") for text in texts] == [*range(1, 9)] * 6


def test_images_go_where_the_chat_mentions_them(open_engine):
    engine = open_engine("idefics3")
    message = Message("user", ("the cat", image(1), "or the dog", image(2), "there?"))
    engine.load()
    generation = engine.stream(Request("vqa", (message,), SamplingParameters(max_new_tokens=2)))
    generation.result()
    text = engine.runner.family.processor.tokenizer.decode(generation._request.sequence.prompt.ids)
    places = [text.index(part) for part in ("the cat", "<image>", "or the dog", "there?")]
    assert places == sorted(places) and text.count("<image>") == 2


def test_an_image_too_large_for_the_memory_is_tried_again_smaller(open_engine, monkeypatch):
    engine = open_engine("qwen3_vl")
    large = Image.effect_noise((200, 120), 80)
    full = ask(engine, [large]).result()
    begin = engine.runner._begin

    def small(sequence):
        if len(sequence.prompt.ids) >= full.prompt_tokens:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return begin(sequence)

    monkeypatch.setattr(engine.runner, "_begin", small)
    result = ask(engine, [large]).result()
    assert result.new_tokens <= 6 and result.prompt_tokens < full.prompt_tokens
    assert "a smaller image and a shorter answer" in result.reduced
    monkeypatch.undo()
    assert ask(engine, [large]).result().text == full.text


def test_memory_is_given_back_and_the_model_can_be_used_again(open_engine):
    engine = open_engine("blip2")
    first = ask(engine, [image(1)]).result().text
    assert engine.status().loaded and engine.status().allocated_bytes > 100_000
    engine.unload()
    assert not engine.status().loaded and engine.status().allocated_bytes == 0
    assert ask(engine, [image(1)]).result().text == first


def test_the_engine_tells_families_apart_and_switches_between_them(saved, tmp_path, open_engine):
    processor = tiny_processor()
    tiny_model(tiny_config(processor)).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    engine = open_engine("idefics3")
    assert isinstance(engine.runner, HubRunner)
    engine.switch(tmp_path)
    assert isinstance(engine.runner, MiniVLMRunner) and engine.detect(image(1)).parsed is not None
    engine.switch(saved("git")[0])
    assert engine.caption(image(1)).model == "git"
    with pytest.raises(EngineError, match="neither a folder on this machine nor the name of a model"):
        engine.switch(tmp_path / "gone")
    assert engine.caption(image(1)).model == "git"


def test_an_image_of_any_family_has_no_novelty_score(open_engine):
    assert open_engine("llava").novelty(image(1)).score is None
