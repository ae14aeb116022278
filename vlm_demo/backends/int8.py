"""Weights as 8-bit integers, for CPUs: a quarter of the memory to read for each token."""

from __future__ import annotations

import torch

ZERO = 128  # the unsigned number that stands for 0


class Int8:
    """A linear layer with int8 weights, one scale an output, and 8-bit activations, one scale a row (measured on the
    spot, so that a row's numbers do not depend on its company).

    Activations are shifted by 128 to be unsigned: oneDNN multiplies signed ones by reference code, a thousand times
    slower, wherever the CPU has VNNI but no AMX.
    """

    @staticmethod
    def available() -> bool:
        """Whether this build of torch has oneDNN's integer products."""
        return torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_pointwise")

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        """`weight`: `[out, in]` in any float type."""
        weight = weight.detach().float()
        self.scales = weight.abs().amax(dim=1).clamp_min_(1e-12) / 127  # [out]
        rounded = (weight / self.scales[:, None]).round_().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(rounded, None)  # in the order that the CPU reads best
        self.zeros = torch.zeros(len(weight), dtype=torch.long)
        self.bias = None if bias is None else bias.detach()
        self.bytes = rounded.nbytes + self.scales.nbytes

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`[N, out]` of `[N, in]`."""
        exact = x.float()
        scales = exact.abs().amax(dim=1, keepdim=True).clamp_min_(1e-12) / 127  # [N, 1]
        rounded = (exact / scales).round_().add_(ZERO).to(torch.uint8)
        product = torch.ops.onednn.qlinear_pointwise(
            rounded, 1.0, ZERO, self.weight, self.scales, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )  # [N, out]
        product = product.mul_(scales).to(x.dtype)
        return product if self.bias is None else product + self.bias
