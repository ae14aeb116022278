"""The matrices of a language model, in the form that its device multiplies fastest.

Each is made of the `weight` `[out, in]` and `bias` `[out]` of a linear layer and called with `[N, in]` for `[N, out]`.
`prompt` says that the rows are a prompt's and many, and not one of each answer: a choice that must not be made by their
number, which changes with the company.
"""

from __future__ import annotations

import platform

import torch
from torch.nn import functional as F


class Dense:
    """The weights as they are: shared with the model, on any device."""

    copies = False  # of weights that are in one piece already

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self.bytes = weight.nbytes

    def __call__(self, x: torch.Tensor, prompt: bool = False) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)


class Packed:
    """Weights in the order in which oneDNN reads them on x86 CPUs.

    `F.linear` leaves single precision to MKL, which takes two to four times as long for the few rows of a decode step.
    """

    copies = True

    @staticmethod
    def available(like: torch.Tensor) -> bool:
        """Whether oneDNN packs weights of this dtype and device here."""
        if like.device.type != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
            return False
        if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
            return False
        if like.dtype == torch.bfloat16:
            return torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return like.dtype == torch.float32

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        # None: for any number of rows. What is packed for one number alone is slower for it, too.
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)
        self.bias = None if bias is None else bias.detach()
        self.bytes = weight.nbytes

    def __call__(self, x: torch.Tensor, prompt: bool = False) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


class Int8:
    """Weights as 8-bit integers with one scale an output: a quarter of the memory to read for each token.

    Activations are multiplied in bfloat16 and summed in single precision.
    """

    copies = True

    @staticmethod
    def available(like: torch.Tensor) -> bool:
        """Whether this build of torch multiplies such weights on this device."""
        return like.device.type == "cpu" and hasattr(torch.ops.aten, "_weight_int8pack_mm")

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        weight = weight.detach().float()
        # Rounded before they are used, so that bfloat16 costs the scales nothing.
        self.scales = (weight.abs().amax(dim=1).clamp_min_(1e-12) / 127).bfloat16()  # [out]
        self.weight = (weight / self.scales.float()[:, None]).round_().clamp_(-127, 127).to(torch.int8)
        self.bias = None if bias is None else bias.detach()
        self.bytes = self.weight.nbytes + self.scales.nbytes

    def __call__(self, x: torch.Tensor, prompt: bool = False) -> torch.Tensor:
        half = x.bfloat16()
        if prompt:  # for many rows it pays to make the weights whole again
            product = F.linear(half, self.weight * self.scales[:, None])
        else:
            product = torch.ops.aten._weight_int8pack_mm(half, self.weight, self.scales)
        product = product.to(x.dtype)  # [N, out]
        return product if self.bias is None else product + self.bias
