"""The Llama forward pass and the batch on it: transformers' numbers, number formats, recorded steps."""

import random
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
)

from tests.tiny import image
from vlm_demo.engine import Engine, EngineError, Generation, SamplingParameters
from vlm_demo.runners import formats
from vlm_demo.runners.graphs import GraphedStep, cuda_graph
from vlm_demo.runners.linear import DenseLinear, Int8Float32Linear, Int8Linear, PackedLinear, bf16_is_fast
from vlm_demo.runners.llama import BatchedLlama
from vlm_demo.runners.minivlm import MiniVLMRunner

SHAPE = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.3,
}
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0}


@pytest.mark.parametrize(
    ("config", "model_class"),
    [
        (LlamaConfig(**SHAPE, num_key_value_heads=4, tie_word_embeddings=True), LlamaForCausalLM),
        (LlamaConfig(**SHAPE, num_key_value_heads=1, head_dim=16, rope_parameters=LINEAR), LlamaForCausalLM),
        (LlamaConfig(**SHAPE, num_key_value_heads=2, attention_bias=True, mlp_bias=True), LlamaForCausalLM),
        (MistralConfig(**SHAPE, num_key_value_heads=2, sliding_window=None), MistralForCausalLM),
        (Qwen2Config(**SHAPE, num_key_value_heads=2), Qwen2ForCausalLM),
    ],
    ids=["llama", "shared-heads", "biases", "mistral", "qwen2"],
)
@pytest.mark.parametrize("rows", [1, 3, 32])
@pytest.mark.parametrize("linear", [DenseLinear, PackedLinear])
@torch.inference_mode()
def test_logits_are_those_of_transformers(config, model_class, rows, linear):
    torch.manual_seed(0)
    model = model_class(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.normal_()
    ids = torch.randint(0, 100, (rows, 10))
    wanted = model(ids).logits
    assert BatchedLlama.supports(config)
    if linear is PackedLinear and not PackedLinear.available(model.lm_head.weight):
        pytest.skip("packed weights are for x86 CPUs")
    ours = BatchedLlama(model.model, model.lm_head, linear)
    buffer = ours.new_buffer()
    buffer.reserve(rows + 2, 10)
    hidden = [ours.forward(ours.embed(ids[:, :6].tolist()), buffer, 2, [0] * rows)]
    hidden += [ours.forward(ours.embed(ids[:, 6:8].tolist()), buffer, 2, [6] * rows)]
    hidden += [ours.forward(ours.embed(ids[:, at : at + 1].tolist()), buffer, 2, [at] * rows) for at in (8, 9)]
    actual = ours.logits(torch.cat(hidden, dim=1).flatten(0, 1)).view_as(wanted)
    torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model(ids).logits, wanted)  # the model that lent its weights still works


@torch.inference_mode()
def test_half_precision_stays_close():
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, num_key_value_heads=2)).eval()
    ids = torch.randint(0, 100, (2, 10))
    wanted = model(ids).logits.softmax(-1)
    model = model.to(torch.bfloat16)
    ours = BatchedLlama(model.model, model.lm_head)
    buffer = ours.new_buffer()
    buffer.reserve(2, 10)
    actual = ours.logits(ours.forward(ours.embed(ids.tolist()), buffer, 0, [0, 0]).flatten(0, 1)).softmax(-1)
    torch.testing.assert_close(actual.float().view_as(wanted), wanted, rtol=0, atol=0.1)


@pytest.mark.parametrize(
    "config",
    [
        Qwen3Config(**SHAPE),
        LlamaConfig(**SHAPE, hidden_act="gelu"),
        LlamaConfig(**SHAPE, rope_parameters={**LINEAR, "rope_type": "dynamic"}),
        MistralConfig(**SHAPE, sliding_window=4),
    ],
    ids=["other family", "other activation", "moving rotations", "window"],
)
def test_what_is_shaped_otherwise_is_left_to_the_plain_way(config):
    assert not BatchedLlama.supports(config)


@pytest.mark.parametrize("kind", [Int8Linear, Int8Float32Linear])
@pytest.mark.parametrize("rows", [1, 2, 33])
def test_int8_is_close_and_a_row_does_not_depend_on_its_company(rows, kind):
    torch.manual_seed(0)
    weight, bias, x = torch.randn(64, 256), torch.randn(64), torch.randn(rows, 256)
    linear = kind(weight, bias)
    wanted = torch.nn.functional.linear(x, weight, bias)
    for prompt in (False, True):
        actual = linear(x, prompt)
        assert (actual - wanted).norm() < 0.02 * wanted.norm()
        assert torch.equal(torch.cat([linear(row[None], prompt) for row in x]), actual)
    x[0] = torch.nan
    assert linear(x)[0].isnan().all() and linear(x)[1:].isfinite().all()


def test_int8_serves_in_less_memory(checkpoint, engine):
    small = Engine(runner=MiniVLMRunner(checkpoint, "cpu", "int8"))
    exact = engine.answer(image(1), "where is this?", settings=SamplingParameters(max_new_tokens=1))
    rounded = small.answer(image(1), "where is this?", settings=SamplingParameters(max_new_tokens=1))
    assert rounded.tokens[0].probability == pytest.approx(exact.tokens[0].probability, abs=0.1)
    assert small.status().dtype == "int8" and small.status().parameters == engine.status().parameters
    assert small.runner.memory()[0] < engine.runner.memory()[0]
    small.close()


@pytest.mark.parametrize(("dtype", "prompts"), [("int8", "bfloat16"), ("int8", "float32"), ("bfloat16", "")])
def test_company_changes_no_digit_where_rounding_is_coarse(checkpoint, dtype, prompts, monkeypatch):
    if "bfloat16" in (dtype, prompts) and not bf16_is_fast("cpu"):
        pytest.skip("this CPU multiplies bfloat16 in other ways")
    monkeypatch.setattr(formats, "multiplies_bfloat16", lambda width, rows: prompts == "bfloat16")
    engine = Engine(runner=MiniVLMRunner(checkpoint, "cpu", dtype), waiting_per_session=100)
    engine.load()
    asked = [([image(n % 7 + k) for k in range(1 + n % 3)], "where is this? " * (1 + n % 5)) for n in range(30)]
    settings = SamplingParameters(max_new_tokens=25)

    def digits(generation: Generation) -> list[tuple[int, float]]:
        generation.result()
        return [(step.id, step.probability) for step in generation._request.sequence.outputs]

    def start(number: int) -> Generation:
        return engine.answer_stream(*asked[number], settings=settings, session=number)

    alone = []
    for number in range(30):
        engine.runner._features.clear()
        engine.runner._decoder.prefixes.clear()
        alone.append(digits(start(number)))
    engine.unload()
    engine.load()
    order = random.Random(0).sample(range(30), 30)
    company = dict(zip(order, map(digits, [start(number) for number in order]), strict=True))
    assert [company[number] for number in range(30)] == alone
    engine.close()


@pytest.mark.parametrize(
    ("llama_shaped", "fast", "wanted"), [(True, True, "int8"), (True, False, "float32"), (False, True, "float32")]
)
def test_integers_are_used_unasked_only_where_they_are_fast(checkpoint, monkeypatch, llama_shaped, fast, wanted):
    monkeypatch.setattr(BatchedLlama, "supports", staticmethod(lambda config: llama_shaped))
    monkeypatch.setattr(formats, "decodes_in_int8", lambda width, rows: fast)
    engine = Engine(checkpoint, device="cpu")
    assert engine.caption(image(1)).tokens and engine.status().dtype == wanted
    engine.close()


@pytest.mark.parametrize("fast", [True, False])
def test_formats_are_chosen_by_what_they_take(monkeypatch, fast):
    """Whatever the CPU is: the clock alone decides, and a slow format is tried once."""
    slow = {Int8Linear: not fast, PackedLinear: fast, DenseLinear: fast}
    now = [0.0]
    monkeypatch.setattr(formats, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    for kind, takes_long in slow.items():

        def pass_time(self, x, prompt=False, takes_long=takes_long):
            now[0] += 1.0 if takes_long else 0.001

        monkeypatch.setattr(kind, "__call__", pass_time)
    formats.decodes_in_int8.cache_clear()
    assert formats.decodes_in_int8(64, 128) == fast
    formats.decodes_in_int8.cache_clear()


def test_int8_elsewhere_is_refused_in_words(checkpoint, monkeypatch):
    monkeypatch.setattr(BatchedLlama, "supports", staticmethod(lambda config: False))
    small = Engine(runner=MiniVLMRunner(checkpoint, "cpu", "int8"))
    with pytest.raises(EngineError, match="another dtype"):
        small.caption(image(1))
    small.close()


class Operations(TorchDispatchMode):
    """Records like a CUDA graph: the operations and the memory that they worked on, nothing of the Python around."""

    def __init__(self):
        super().__init__()
        self.done = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        self.done.append((function, args, kwargs or {}, output))
        return output


def record(function):
    """What `cuda_graph` does, where there is no GPU: a replay computes into the very tensors of the recording."""
    with Operations() as operations:
        output = function()

    def replay():
        for function, args, kwargs, before in operations.done:
            again = function(*args, **kwargs)
            pairs = [(before, again)] if isinstance(before, torch.Tensor) else zip(before, again, strict=True)
            for old, new in pairs:
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)
        return output

    return replay


def test_a_recorded_step_writes_what_generate_writes(engine, monkeypatch):
    def answers():
        lengths = (3, 30, 9, 140, 21, 2, 17)
        running = [
            engine.answer_stream(image(number), "where?", settings=SamplingParameters(max_new_tokens=length))
            for number, length in enumerate(lengths)
        ]
        return [[token.id for token in one.result().tokens] for one in running]

    wanted = answers()
    decoder = engine.runner._decoder
    decoder.graphed = GraphedStep(decoder.llama, record)
    assert answers() == wanted
    recorded = set(decoder.graphed.recordings)
    assert recorded and all(rows in (1, 2, 4, 8) and longest in (128, 256) for rows, longest in recorded)
    replays = [one.replay for one in decoder.graphed.recordings.values()]
    assert answers() == wanted and set(replays) <= {one.replay for one in decoder.graphed.recordings.values()}


def test_a_step_is_tried_before_it_is_recorded_and_then_only_replayed(monkeypatch):
    now, done = ["outside"], []

    @contextmanager
    def inside(what):
        now.append(what)
        yield
        now.pop()

    class Stream:
        def wait_stream(self, other):
            done.append("waits")

    class Graph:
        def replay(self):
            done.append("replay")

    for name, stand_in in {
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda stream: inside("aside"),
        "CUDAGraph": Graph,
        "graph": lambda graph: inside("recorded"),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    output = torch.zeros(1)

    def step():
        done.append(now[-1])
        return output

    replay = cuda_graph(step)
    assert done == ["waits", "aside", "waits", "recorded"]
    assert replay() is output and done[4:] == ["replay"], "the memory of the recording holds what a replay computes"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_recorded_step_is_used(checkpoint):
    engine = Engine(runner=MiniVLMRunner(checkpoint, "cuda", "float32"))
    recorded = [engine.caption(image(number)).text for number in range(3)]
    assert engine.runner._decoder.graphed.recordings
    engine.runner._decoder.graphed = None
    assert [engine.caption(image(number)).text for number in range(3)] == recorded
    engine.close()
