"""The vision side of MiniVLM's runner: images made ready, what is seen of them, how foreign they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlm_demo.results import EngineError, Novelty
from vlm_demo.runners.grammar import Box, Region
from vlm_demo.runners.lru import ByteLRU

if TYPE_CHECKING:
    import torch

    from vlm_demo.model import MiniVLMForConditionalGeneration

AT_ONCE = 16  # images in one pass through the vision tower
NOVELTY_FILE = "novelty.safetensors"
STEP = 0.005  # in which boxes are written, where the vision tower proposes them


def pool_features(features: torch.Tensor) -> torch.Tensor:
    """Vision features `[..., N, C]` as one float32 vector an image `[..., 2C]`: mean and standard deviation over N."""
    import torch

    features = features.float()
    return torch.cat([features.mean(-2), features.std(-2, correction=0)], dim=-1)


def novelty_score(features: torch.Tensor, mean: torch.Tensor, whitening: torch.Tensor) -> torch.Tensor:
    """Distance of images to the training images in pooled feature space, by default Mahalanobis' (Lee et al. 2018).

    Args:
        features: Vision features before the projector, `[..., N, C]`.
        mean: Mean of the pooled training features, `[2C]`.
        whitening: W `[K, 2C]`: with `W.T @ W` the inverse covariance of the pooled training features, or the directions
            in which other images differ from these.

    Returns:
        One distance an image, `[...]`.
    """
    return ((pool_features(features) - mean) @ whitening.T).norm(dim=-1)


@dataclass(frozen=True)
class ImageInput:
    """How a model takes an image in: resized to `size` (width, height in pixels), seen as a `grid` (columns, rows) of
    patches and so many proposed `regions`, and read by the language model as so many `tokens`."""

    size: tuple[int, int]
    grid: tuple[int, int]
    regions: int
    tokens: int


@dataclass(frozen=True)
class Pixels:
    """A preprocessed image `[3, H, W]` and the hash of the loaded image that it was made of."""

    key: bytes
    values: torch.Tensor


@dataclass(frozen=True)
class Encoded:
    """What the vision side makes of an image: projected features `[N, D]`, how far it lies from the training images,
    and the regions that the tower proposes, if it does, with their scores."""

    projected: torch.Tensor
    novelty: Novelty
    regions: tuple[tuple[Region, float], ...] | None


def see(
    model: MiniVLMForConditionalGeneration,
    images: Sequence[Pixels],
    cache: ByteLRU,
    novelty: dict[str, torch.Tensor] | None,
    labels: tuple[str, ...] | None,
) -> dict[bytes, Encoded]:
    """What the vision side of a model makes of each image by its key, from the cache where possible; raises
    EngineError where the numbers are not finite.

    `novelty` holds what the checkpoint knows of its training images, `labels` name the regions of its tower.
    """
    import torch

    wanted = {image.key: image.values for image in images}
    by_key = {key: cache.get(key) for key in wanted}
    missing = [key for key, value in by_key.items() if value is None]
    # On a CPU, convolutions in single precision sum in another order in company, by which bfloat16 is not moved.
    exact = model.device.type == "cpu" and model.model.vision_tower.dtype == torch.float32
    at_once = 1 if exact else AT_ONCE
    for start in range(0, len(missing), at_once):
        keys = missing[start : start + at_once]
        pixels = torch.stack([wanted[key] for key in keys]).to(model.device)  # [n, 3, H, W]
        with torch.inference_mode():
            features, outputs = model.model.get_vision_outputs(pixels)  # [n, N, C]
            projected = model.model.projector(features.to(model.lm_head.weight.dtype))  # [n, N, D]
        if not (pixels.isfinite().all() and projected.isfinite().all()):
            raise EngineError("This image holds invalid numbers, or the model fails on it. Try another one.")
        measured, regions = _measure(features, novelty), regions_of(outputs, labels)
        for key, one, far, boxes in zip(keys, projected, measured, regions, strict=True):
            by_key[key] = Encoded(one.clone(), far, boxes)
            cache.put(key, by_key[key], one.nbytes)
    return by_key


def _measure(features: torch.Tensor, novelty: dict[str, torch.Tensor] | None) -> list[Novelty]:
    if novelty is None:
        return [Novelty(None, None, False)] * len(features)
    threshold = novelty["threshold"].item()
    scores = novelty_score(features, novelty["mean"], novelty["whitening"]).tolist()
    return [Novelty(score, threshold, score > threshold) for score in scores]


def regions_of(outputs: Any, labels: tuple[str, ...] | None) -> Iterator[tuple[tuple[Region, float], ...] | None]:
    """The regions of image after image in what a vision tower gave, named by `labels`; None where it has none."""
    if getattr(outputs, "boxes", None) is None or labels is None:
        yield from itertools.repeat(None, len(outputs.last_hidden_state))
        return
    columns = (column.float().tolist() for column in (outputs.boxes, outputs.labels, outputs.scores))
    for boxes, classes, scores in zip(*columns, strict=True):
        yield tuple(
            ((labels[int(number)], written([left, top, right - left, bottom - top])), score)
            for (left, top, right, bottom), number, score in zip(boxes, classes, scores, strict=True)
        )


def written(box: list[float]) -> Box:
    """A box [left, top, width, height] as the model writes it."""
    return tuple(f"{round(value / STEP) * STEP:.3f}" for value in box)
