"""The MiniVLM runner under the engine: the same tokens as `generate()`, whoever else is being served."""

import json
import random
import shutil
import time
from itertools import pairwise

import pytest
import torch
from PIL import Image

from tests.tiny import image
from vlm_demo.description import FILE
from vlm_demo.engine import Engine, EngineError, SamplingParameters
from vlm_demo.model import MiniVLMForConditionalGeneration
from vlm_demo.runners.batched import BatchDecoder


@pytest.fixture(params=["batched", "plain"])
def engine(checkpoint, request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(BatchDecoder, "supports", staticmethod(lambda config: False))
    engine = Engine(checkpoint, device="cpu", dtype="float32")  # as exact as `generate()`
    yield engine
    engine.close()


def generate(engine: Engine, images: list[Image.Image], turns: list[dict], limit: int) -> list[int]:
    """The reference: the model's own `generate()`, alone."""
    runner = engine.runner
    prompt = runner.processor.encode_chat(turns, len(images))
    pixels = runner.processor.image_processor(images, return_tensors="pt")["pixel_values"]
    model = MiniVLMForConditionalGeneration.from_pretrained(runner.source)
    ids = model.generate(torch.tensor([prompt]), pixel_values=pixels, do_sample=False, max_new_tokens=limit)
    return ids[0, len(prompt) :].tolist()


def written(generation) -> list[int]:
    generation.result()
    return [step.id for step in generation._request.sequence.outputs]


def test_greedy_equals_generate_in_any_order_of_arrival(engine):
    engine.load()
    chance = random.Random(0)
    cases = []
    for number in range(24):
        images = [image(chance.randrange(6)) for _ in range(chance.choice([1, 1, 2, 3]))]
        question = " ".join(["how many cats?", "where is this?", "yes"][: chance.randint(1, 3)]) + str(number)
        cases.append((images, question, chance.randint(1, 40)))
    wanted = [
        generate(engine, images, [{"role": "user", "task": "vqa", "text": question}], limit)
        for images, question, limit in cases
    ]
    assert len({tuple(ids) for ids in wanted}) > 12  # the reference answers differ from each other
    running = []
    for images, question, limit in cases:
        running.append(engine.answer_stream(images, question, settings=SamplingParameters(max_new_tokens=limit)))
        time.sleep(chance.choice([0, 0, 0.01]))
    assert [written(generation) for generation in running] == wanted


def test_a_sample_depends_on_its_seed_and_not_on_company(engine):
    settings = [SamplingParameters(temperature=1.5, top_p=0.9, max_new_tokens=25, seed=seed) for seed in range(6)]
    alone = [written(engine.answer_stream(image(1), "where is this?", settings=one)) for one in settings]
    company = [engine.answer_stream(image(1), "where is this?", settings=one) for one in reversed(settings)]
    assert [written(generation) for generation in reversed(company)] == alone
    assert len({tuple(ids) for ids in alone}) > 3


def test_a_drawn_seed_is_told_and_repeats_the_text(engine):
    first = engine.caption(image(2), settings=SamplingParameters(temperature=1.0))
    again = engine.caption(image(2), settings=SamplingParameters(temperature=1.0, seed=first.seed))
    assert again.text == first.text and [t.id for t in again.tokens] == [t.id for t in first.tokens]
    assert engine.caption(image(2)).seed is None


def test_top_p_keeps_only_the_nucleus(engine):
    greedy = engine.caption(image(3))
    nucleus = engine.caption(image(3), settings=SamplingParameters(temperature=1.0, top_p=1e-6, seed=1))
    assert [token.id for token in nucleus.tokens] == [token.id for token in greedy.tokens]


def test_a_short_caption_does_not_say_the_same_twice_where_its_model_asks_for_that(checkpoint, tmp_path):
    """transformers' `no_repeat_ngram_size`; a model of random weights repeats itself."""
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    (folder / FILE).write_text(json.dumps({"no_repeat_ngram_size": 2}))
    pairs = {}
    for source in (checkpoint, folder):
        engine = Engine(source, device="cpu", dtype="float32")
        for style in ("brief", "detailed"):
            ids = [token.id for token in engine.caption(image(3), style).tokens]
            pairs[source, style] = list(pairwise(ids))
        engine.close()
    assert len(pairs[checkpoint, "brief"]) > len(set(pairs[checkpoint, "brief"]))
    assert len(pairs[folder, "brief"]) == len(set(pairs[folder, "brief"])) > 5
    assert pairs[folder, "detailed"] == pairs[checkpoint, "detailed"]


def test_probabilities_are_those_of_the_raw_logits(engine):
    result = engine.answer(image(4), "yes", settings=SamplingParameters(max_new_tokens=1, temperature=2.0, seed=5))
    runner = engine.runner
    prompt = runner.processor.encode_chat([{"role": "user", "task": "vqa", "text": "yes"}], 1)
    pixels = runner.processor.image_processor([image(4)], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        model = MiniVLMForConditionalGeneration.from_pretrained(runner.source)
        logits = model(torch.tensor([prompt]), pixel_values=pixels).logits[0, -1]
    logits[runner.processor.image_token_id] = -torch.inf  # never written
    probabilities = logits.softmax(-1)
    token = result.tokens[0]
    assert token.probability == pytest.approx(probabilities[token.id].item(), rel=1e-4)
    pieces, shown = zip(*token.alternatives, strict=True)  # single bytes may share a piece
    assert len(shown) == 5 and runner.token_text(token.id) in pieces
    assert max(shown) == pytest.approx(probabilities.max().item(), rel=1e-4)
    assert result.confidence == pytest.approx(token.probability)


def test_a_history_is_read_and_its_oldest_turns_make_room(engine):
    history = [(f"what is {number}?", "a red dog " * 12) for number in range(30)]
    turns = []
    result = engine.answer_stream(image(5), "and now?", history, SamplingParameters(max_new_tokens=20))
    kept = history[result.result().dropped_turns :]
    assert 0 < len(kept) < len(history)
    for question, answer in kept:
        turns += [{"role": "user", "task": "vqa", "text": question}, {"role": "assistant", "text": answer}]
    turns.append({"role": "user", "task": "vqa", "text": "and now?"})
    assert written(result) == generate(engine, [image(5)], turns, 20)
    assert result.result().prompt_tokens + 20 <= 512


def test_too_long_a_question_is_refused_with_words(engine):
    with pytest.raises(EngineError, match="shorter question"):
        engine.answer(image(0), "how many cats are there? " * 200)


def test_an_answer_ends_where_the_context_ends(engine):
    result = engine.caption(image(0), settings=SamplingParameters(max_new_tokens=10_000))
    assert result.finish_reason in ("stop", "length") and result.prompt_tokens + result.new_tokens <= 512


def test_unload_frees_and_the_next_use_loads_again(engine):
    before = engine.caption(image(6))
    status = engine.status()
    assert status.loaded and status.parameters > 10_000 and status.allocated_bytes >= 4 * status.parameters
    assert status.device == "cpu" and status.dtype == "float32" and status.resident_bytes > status.allocated_bytes
    engine.unload()
    status = engine.status()
    assert not status.loaded and status.allocated_bytes == 0 and "not loaded" in str(status)
    assert engine.caption(image(6)).text == before.text


def test_an_image_is_encoded_once(engine, monkeypatch):
    engine.load()
    encoded = []
    model = engine.runner.model.model
    tower = model.get_vision_outputs
    monkeypatch.setattr(model, "get_vision_outputs", lambda p: encoded.append(len(p)) or tower(p))
    engine.answer([image(7), image(7)], "yes")
    engine.answer([image(8), image(7)], "no")
    engine.caption(image(8).convert("RGBA"))
    assert encoded == [1, 1]


@pytest.mark.parametrize("where", ["pixels", "features"])
def test_poisoned_numbers_fail_alone_and_leave_no_trace(engine, monkeypatch, where):
    clean = [engine.caption(image(seed)).text for seed in range(4)]
    name = {"pixels": "prepare", "features": "encode"}[where]
    real = getattr(engine.runner, name)

    def poisoned(*args):
        value = real(*args)
        if where == "pixels" and args[0][-1]["text"] == "poison":
            value.images[0].values.fill_(torch.nan)
        for sequence in args[0] if where == "features" else []:
            if sequence.temperature == 9:
                sequence.features = [one * torch.nan for one in sequence.features]
        return value

    monkeypatch.setattr(engine.runner, name, poisoned)
    for _ in range(2):  # the second round reuses the slots of the first
        good = [engine.caption_stream(image(seed)) for seed in range(2)]
        bad = engine.answer_stream(image(9), "poison", settings=SamplingParameters(temperature=9))
        good += [engine.caption_stream(image(seed)) for seed in range(2, 4)]
        assert [generation.result().text for generation in good] == clean
        with pytest.raises(EngineError, match="numbers"):
            bad.result()


def test_a_batch_too_large_for_the_memory_goes_on_one_by_one(engine, monkeypatch):
    clean = [engine.caption(image(seed)).text for seed in range(4)]
    decoder = engine.runner._decoder
    owner, name = (decoder.llama, "forward") if isinstance(decoder, BatchDecoder) else (decoder, "_forward")
    forward = getattr(owner, name)

    def small(embeds, *args, **kwargs):
        if len(embeds) > 1:
            raise RuntimeError("CUDA out of memory")
        return forward(embeds, *args, **kwargs)

    monkeypatch.setattr(owner, name, small)
    running = [engine.caption_stream(image(seed)) for seed in range(4)]
    assert [generation.result().text for generation in running] == clean


def test_a_prompt_too_large_for_the_memory_is_read_once_the_caches_are_free(engine, monkeypatch):
    clean = engine.caption(image(7), settings=SamplingParameters(max_new_tokens=4)).text
    runner = engine.runner
    prefill, kept = runner.prefill, runner._features.bytes

    def small(sequences):
        if runner._features.bytes > kept // 2 or sequences[0].prompt.max_new_tokens > 4:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:115] DefaultCPUAllocator: can't allocate memory")
        prefill(sequences)

    monkeypatch.setattr(runner, "prefill", small)
    monkeypatch.setattr(runner._features, "limit", 0)
    result = engine.caption(image(7), settings=SamplingParameters(max_new_tokens=8))
    assert result.text == clean and "memory ran out" in result.reduced
    monkeypatch.undo()
    assert engine.caption(image(7), settings=SamplingParameters(max_new_tokens=4)).text == clean
