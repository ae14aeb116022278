"""Vision features of the rendered scenes, computed once by the frozen encoder and kept in runs/features."""

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import ResNetModel

from train.features import fingerprint, save
from train.icons import rendering
from train.icons.vision import to_pixels


@torch.inference_mode()
def compute(encoder: ResNetModel, kind: str, count: int) -> list[np.ndarray]:
    """Memory maps [CHUNK, images, N, C] of bfloat16 (kept as int16) for the first `count` groups of a kind.

    `encoder` must be in evaluation mode.
    """
    folder = Path("runs/features") / fingerprint(encoder)
    folder.mkdir(parents=True, exist_ok=True)
    encoder = encoder.to(memory_format=torch.channels_last)
    paths = []
    for chunk, images in enumerate(tqdm(rendering.open_rendered(kind, count), desc=f"features of {kind}", unit="file")):
        path = folder / f"{kind}-{chunk:04d}.npy"
        paths.append(path)
        if path.exists():
            continue
        flat = images.reshape(-1, rendering.SIZE, rendering.SIZE, 3)
        parts = []
        for at in range(0, len(flat), 250):
            with torch.autocast("cpu", torch.bfloat16):
                grid = encoder(to_pixels(flat[at : at + 250])).last_hidden_state  # [B, C, H, W]
            parts.append(grid.flatten(2).transpose(1, 2).to(torch.bfloat16))  # [B, N, C]
        save(path, torch.cat(parts).unflatten(0, images.shape[:2]))
    return [np.load(path, mmap_mode="r") for path in paths]
