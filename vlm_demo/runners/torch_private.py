"""The operators of torch without a public name that the runners use, all of them; as they are in the version below.

`tests/test_private.py` says what has changed when another one is installed.
"""

from __future__ import annotations

import platform

import torch

VERSION = "2.13"


def can_pack(like: torch.Tensor) -> bool:
    """Whether oneDNN packs weights of this dtype and device here."""
    if like.device.type != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    if like.dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return like.dtype == torch.float32


def pack(weight: torch.Tensor) -> torch.Tensor:
    """A weight `[out, in]` in the order in which oneDNN reads it."""
    # None: for any number of rows. What is packed for one number alone is slower for it, too.
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)


def packed_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`[N, out]` of `[N, in]` and a packed weight."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def can_multiply_int8() -> bool:
    """Whether this build of torch multiplies 8-bit integers on a CPU."""
    return hasattr(torch.ops.aten, "_weight_int8pack_mm")


def int8_linear(x: torch.Tensor, weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """`[N, out]` of bfloat16 `[N, in]`, a weight of 8-bit integers `[out, in]` and one scale an output `[out]`."""
    return torch.ops.aten._weight_int8pack_mm(x, weight, scales)
