"""The matrices of a language model, in the form that its device multiplies fastest.

Each is made of the `weight` `[out, in]` and `bias` `[out]` of a linear layer and called with `[N, in]` for `[N, out]`.
`prompt` says that the rows are a prompt's and many, and not one of each answer: a choice that must not be made by their
number, which changes with the company.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch.nn import functional as F

from vlm_demo.runners import torch_private


def bf16_is_fast(device: str) -> bool:
    """Whether a device multiplies bfloat16 in hardware."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return device == "cpu" and bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


class DenseLinear:
    """The weights as they are: shared with the model, on any device."""

    copies = False  # of weights that are in one piece already

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self.bytes = weight.nbytes

    def __call__(self, x: torch.Tensor, prompt: bool = False) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)


class PackedLinear:
    """Weights in the order in which oneDNN reads them on x86 CPUs.

    `F.linear` leaves single precision to MKL, which takes two to four times as long for the few rows of a decode step.
    """

    copies = True

    @staticmethod
    def available(like: torch.Tensor) -> bool:
        """Whether oneDNN packs weights of this dtype and device here."""
        return torch_private.can_pack(like)

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.weight = torch_private.pack(weight)
        self.bias = None if bias is None else bias.detach()
        self.bytes = weight.nbytes

    def __call__(self, x: torch.Tensor, prompt: bool = False) -> torch.Tensor:
        return torch_private.packed_linear(x, self.weight, self.bias)


class Int8Linear:
    """Weights as 8-bit integers with one scale an output: a quarter of the memory to read for each token.

    Activations are multiplied in bfloat16 and summed in single precision. Prompts, where the reading of weights counts
    for little, are multiplied by the same numbers in `prompts`.
    """

    copies = True
    prompts = torch.bfloat16

    @staticmethod
    def available(device: str) -> bool:
        """Whether this build of torch multiplies such weights on a device."""
        return device == "cpu" and torch_private.can_multiply_int8()

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        weight = weight.detach().float()
        # Rounded before they are used, so that bfloat16 costs the scales nothing.
        self.scales = (weight.abs().amax(dim=1).clamp_min_(1e-12) / 127).bfloat16()  # [out]
        self.weight = (weight / self.scales.float()[:, None]).round_().clamp_(-127, 127).to(torch.int8)
        self.bias = None if bias is None else bias.detach()

    @cached_property
    def whole(self) -> PackedLinear | DenseLinear:
        """The rounded weights as prompts are multiplied; the head, which reads no prompts, never needs them."""
        weight = self.weight.to(self.prompts) * self.scales[:, None].to(self.prompts)
        return PackedLinear(weight) if PackedLinear.available(weight) else DenseLinear(weight)

    @property
    def bytes(self) -> int:
        return self.weight.nbytes + self.scales.nbytes + (self.whole.bytes if "whole" in self.__dict__ else 0)

    def __call__(self, x: torch.Tensor, prompt: bool = False) -> torch.Tensor:
        if prompt:
            product = self.whole(x.to(self.prompts))
        else:
            product = torch_private.int8_linear(x.bfloat16(), self.weight, self.scales)
        product = product.to(x.dtype)  # [N, out]
        return product if self.bias is None else product + self.bias


class Int8Float32Linear(Int8Linear):
    """The same for CPUs that multiply prompts faster in single precision."""

    prompts = torch.float32
