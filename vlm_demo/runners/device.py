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


def choose_dtype(wanted: str, device: str, shape: tuple[int, int] | None) -> str:
    """What answers fastest at no measured cost in quality: half precision on a GPU, integers on a CPU where they write
    tokens faster than single precision does.

    `shape`: columns and rows of the largest matrices of a language model that can be written out as our own decode
    step, which integers are for; None for any other.
    """
    import torch

    from vlm_demo.runners.formats import decodes_in_int8

    if wanted != "auto":
        return wanted
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return "int8" if device == "cpu" and shape and decodes_in_int8(*shape) else "float32"
