"""Vision features on disk: bfloat16, kept as int16 in .npy files, in a folder named after what made them."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from train.files import write_whole


def fingerprint(tower: nn.Module, preparation: bytes = b"") -> str:
    """What features depend on: the tower's weights, and how images are prepared for it. It names their folder, so that
    features of another tower can never be taken by mistake."""
    digest = hashlib.sha256(preparation)
    for name, tensor in sorted(tower.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def save(path: Path, features: torch.Tensor) -> np.ndarray:
    """Write features of any shape; returns the array that was written."""
    array = features.to(torch.bfloat16).contiguous().view(torch.int16).numpy()
    write_whole(path, lambda file: np.save(file, array))
    return array


def from_array(array: np.ndarray) -> torch.Tensor:
    """The features, bfloat16, of an array that `save` wrote, or of a part of it."""
    return torch.from_numpy(array).view(torch.bfloat16)
