"""In which number format a model of a given size is fastest on this CPU, found by trying.

Writing a token reads every weight once and multiplies little: 8-bit weights win where the CPU turns them into numbers
fast enough. A prompt multiplies much by each weight that it reads: there it matters how the CPU multiplies. What a CPU
says that it can do tells neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch

from vlm_demo.runners.linear import DenseLinear, Int8Float32Linear, Int8Linear, PackedLinear

PROMPT = 96  # tokens of a typical prompt
BYTES, MATRICES = 64_000_000, 32  # at most, in single precision: more than the caches of a core hold
TRIES, SECONDS = 5, 0.3  # at most, for each question; but one try and another
GAIN = 1.1  # by which a coarser format must be faster


@cache
def decodes_in_int8(width: int, rows: int) -> bool:
    """Whether a token is written faster with 8-bit weights than in single precision, by a model whose largest matrices
    have so many columns and rows."""
    if not Int8Linear.available("cpu"):
        return False
    weights = torch.full((min(MATRICES, 1 + BYTES // (4 * width * rows)), rows, width), 0.01)
    exact, rounded = [_exact(weight) for weight in weights], [Int8Linear(weight) for weight in weights]
    x = torch.ones(1, width)
    slow, fast = _shortest(lambda: [linear(x) for linear in exact], lambda: [linear(x) for linear in rounded])
    return slow > GAIN * fast


@cache
def multiplies_bfloat16(width: int, rows: int) -> bool:
    """Whether a prompt is read faster in bfloat16 than in single precision."""
    weight, x = torch.full((rows, width), 0.01), torch.ones(PROMPT, width)
    halves = weight.bfloat16()
    if not PackedLinear.available(halves):
        return False
    exact, half = _exact(weight), PackedLinear(halves)
    slow, fast = _shortest(lambda: exact(x), lambda: half(x.bfloat16()))
    return slow > GAIN * fast


def int8_linear(width: int, rows: int) -> type[Int8Linear]:
    """8-bit weights that read prompts in the precision that is faster here."""
    return Int8Linear if multiplies_bfloat16(width, rows) else Int8Float32Linear


def _exact(weight: torch.Tensor) -> PackedLinear | DenseLinear:
    return PackedLinear(weight) if PackedLinear.available(weight) else DenseLinear(weight)


@torch.inference_mode()
def _shortest(*ways: Callable[[], object]) -> list[float]:
    """Seconds that each of several ways takes: the shortest of some tries by turns, since others may want the machine
    at the same time."""
    best = [float("inf")] * len(ways)
    start = time.perf_counter()
    for attempt in range(TRIES):
        for number, way in enumerate(ways):
            begin = time.perf_counter()
            way()
            best[number] = min(best[number], time.perf_counter() - begin)
        if attempt and time.perf_counter() - start > SECONDS:
            break
    return best
