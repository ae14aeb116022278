"""Where a model runs, and in which precision. torch is imported on first use."""

from __future__ import annotations


def choose_device(wanted: str) -> str:
    """The device that was asked for; "auto" is a GPU where there is one."""
    import torch

    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_dtype(wanted: str, device: str, batched: bool) -> str:
    """What answers fastest at no measured cost in quality: half precision only where the device computes it well.

    `batched`: whether the language model can be written out as our own decode step, which integers are for.
    """
    import torch

    from vlm_demo.runners.linear import Int8Linear, bf16_is_fast

    if wanted != "auto":
        return wanted
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return "int8" if batched and Int8Linear.available(device) and bf16_is_fast(device) else "float32"
