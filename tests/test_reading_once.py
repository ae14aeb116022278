"""What has been read before is not read again: prompts that begin alike, in bounded memory."""

import pytest

from tests.tiny import image
from vlm_demo.engine import Engine, SamplingParameters
from vlm_demo.runners import llama
from vlm_demo.runners.batched import TEXT
from vlm_demo.runners.llama import round_up
from vlm_demo.runners.minivlm import MiniVLMRunner


@pytest.fixture
def read(engine, monkeypatch):
    """The widths of all forward passes of more than one token."""
    widths: list[tuple[int, int]] = []
    ours = engine.runner._decoder.llama
    forward = ours.forward

    def counted(x, *args):
        if x.shape[1] > 1:
            widths.append(tuple(x.shape[:2]))
        return forward(x, *args)

    monkeypatch.setattr(ours, "forward", counted)
    return widths


def test_a_second_question_reads_only_its_own_text(engine, read):
    first = engine.answer_stream([image(1), image(2)], "where is this?")
    prompt = first.result() and first._request.sequence.prompt
    padded = round_up(len(prompt.ids) - prompt.prefix, TEXT)
    assert read == [(1, prompt.prefix), (1, padded)] and prompt.prefix >= 8
    read.clear()
    second = engine.answer_stream([image(1), image(2)], "how many cats?")
    prompt = second.result() and second._request.sequence.prompt
    assert read == [(1, round_up(len(prompt.ids) - prompt.prefix, TEXT))]
    read.clear()
    engine.answer([image(2), image(1)], "how many cats?")  # another order is another prefix
    assert len(read) == 2


def test_unloading_forgets_what_was_read(engine, read):
    engine.answer(image(1), "yes")
    kept = engine.runner._decoder.prefixes
    assert kept.bytes > 0
    engine.unload()
    assert engine.runner._decoder is None
    engine.answer(image(1), "no")
    assert engine.runner._decoder.prefixes is not kept


def test_what_was_read_is_bounded_in_bytes(checkpoint):
    engine = Engine(runner=MiniVLMRunner(checkpoint, "cpu", prefix_bytes=5000))
    before = [engine.answer(image(seed), "yes").text for seed in range(5)]
    assert 0 < engine.runner._decoder.prefixes.bytes <= 5000
    assert [engine.answer(image(seed), "yes").text for seed in range(5)] == before
    engine.close()


def test_the_buffer_is_given_back_when_nobody_is_served(engine, monkeypatch):
    monkeypatch.setattr(llama, "KEPT_BYTES", 10_000)
    engine.answer(image(1), "yes", settings=SamplingParameters(max_new_tokens=30))
    assert engine.runner._decoder.buffer.bytes == 0
    monkeypatch.setattr(llama, "KEPT_BYTES", 10_000_000)
    engine.answer(image(1), "yes", settings=SamplingParameters(max_new_tokens=30))
    assert engine.runner._decoder.buffer.bytes > 10_000
