"""The matrices of a language model, in the form that its device multiplies fastest.

Each is made of the `weight` `[out, in]` and `bias` `[out]` of a linear layer and called with `[N, in]` for `[N, out]`.
"""

from __future__ import annotations

import platform

import torch
from torch.nn import functional as F

ZERO = 128  # the unsigned number that stands for 0


class Dense:
    """The weights as they are: shared with the model, on any device."""

    copies = False  # of weights that are in one piece already

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self.bytes = weight.nbytes

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
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

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


class Int8:
    """A linear layer with int8 weights, one scale an output, and 8-bit activations, one scale a row (measured on the
    spot, so that a row's numbers do not depend on its company).

    Activations are shifted by 128 to be unsigned: oneDNN multiplies signed ones by reference code, a thousand times
    slower, wherever the CPU has VNNI but no AMX.
    """

    copies = True

    @staticmethod
    def available() -> bool:
        """Whether this build of torch has oneDNN's integer products."""
        return torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_pointwise")

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        weight = weight.detach().float()
        self.scales = weight.abs().amax(dim=1).clamp_min_(1e-12) / 127  # [out]
        rounded = (weight / self.scales[:, None]).round_().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(rounded, None)  # in the order that the CPU reads best
        self.zeros = torch.zeros(len(weight), dtype=torch.long)
        self.bias = None if bias is None else bias.detach()
        self.bytes = rounded.nbytes + self.scales.nbytes

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        exact = x.float()
        scales = exact.abs().amax(dim=1, keepdim=True).clamp_min_(1e-12) / 127  # [N, 1]
        rounded = (exact / scales).round_().add_(ZERO).to(torch.uint8)
        product = torch.ops.onednn.qlinear_pointwise(
            rounded, 1.0, ZERO, self.weight, self.scales, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )  # [N, out]
        product = product.mul_(scales).to(x.dtype)
        return product if self.bias is None else product + self.bias
