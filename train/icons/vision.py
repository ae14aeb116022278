"""Trains the vision encoder from scratch: python -m train.icons.vision [--scenes 60000] [--steps 2000]

A ResNet learns with a dense head on its feature grid: for each cell, is an object's centre here, and what class, colour
and box has the object over it. First on 64-pixel crops around one object (the shape of small silhouettes is what is
hard to learn), then on whole scenes. The head is discarded; the features that it could read are what the language
model gets. Centre heatmap as in CenterNet (https://arxiv.org/abs/1904.07850), edge distances as in FCOS
(https://arxiv.org/abs/1904.01355).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import ResNetConfig, ResNetModel

from train import loop
from train.icons import rendering
from vlm_demo.scenes import COLORS, LABELS, SETTINGS

FOLDER = Path("runs/vision")
CELL = 16  # pixels a cell of the feature grid
MAX_OBJECTS = 6


class DenseHead(nn.Module):
    """Reads centre, class, colour, box and setting off each cell with one linear layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sizes = [1, len(LABELS), len(COLORS), 4, len(SETTINGS)]
        self.linear = nn.Conv2d(channels, sum(self.sizes), 1)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """[B, C, H, W] -> logits of centre, class, colour, edge distances, setting, each [B, K, H, W]."""
        return self.linear(features).float().split(self.sizes, dim=1)


def make_encoder() -> ResNetModel:
    """The bundled model's vision backbone: 2.8 M parameters, stride 16."""
    config = ResNetConfig(embedding_size=64, hidden_sizes=[64, 128, 256], depths=[2, 2, 2], layer_type="basic")
    return ResNetModel(config)


def references(count: int, first: int = 0) -> dict[str, torch.Tensor]:
    """Objects of rendered scenes: boxes [N, 6, 4] (xywh, 0..1; w = 0 where there is none), label, color, setting."""
    boxes, labels = torch.zeros(count, MAX_OBJECTS, 4), torch.zeros(count, MAX_OBJECTS, 2, dtype=torch.long)
    settings = torch.zeros(count, dtype=torch.long)
    for i in range(count):
        scene = rendering.group("scenes", first + i)
        settings[i] = SETTINGS.index(scene.setting)
        for k, item in enumerate(scene.items):
            boxes[i, k] = torch.tensor(item.bbox)
            labels[i, k] = torch.tensor([LABELS.index(item.label), COLORS.index(item.color)])
    return {"boxes": boxes, "labels": labels, "settings": settings}


def targets(boxes: torch.Tensor, cells: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For boxes [B, K, 4] in units of the image: the object over each cell [B, H, W] (-1: none), whether it is that
    object's centre cell, and the distances to its edges left, top, right, bottom [B, 4, H, W]."""
    x, y, w, h = (boxes[..., i, None, None] for i in range(4))  # [B, K, 1, 1]
    grid = (torch.arange(cells) + 0.5) / cells
    gx, gy = grid[None, None, None, :], grid[None, None, :, None]
    there = w > 0
    cx, cy = x + w / 2, y + h / 2
    half = 0.5 / cells
    centre = ((gx - cx).abs() <= half) & ((gy - cy).abs() <= half) & there  # [B, K, H, W]
    distance = torch.maximum((gx - cx).abs() / w.clamp(min=1e-6), (gy - cy).abs() / h.clamp(min=1e-6))
    distance = torch.where(there, distance, torch.inf).masked_fill(centre, -1.0)
    nearest, owner = distance.min(dim=1)  # [B, H, W]
    owner = torch.where(nearest < 0.5, owner, -1)
    edges = torch.stack(
        [gx - x + 0 * gy, gy - y + 0 * gx, x + w - gx + 0 * gy, y + h - gy + 0 * gx], 2
    )  # [B, K, 4, H, W]
    index = owner.clamp(min=0)[:, None, None].expand(-1, 1, 4, -1, -1)
    return owner, nearest == -1, edges.gather(1, index)[:, 0]


def iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """IoU of two boxes given as edge distances [..., 4] from a shared point."""
    a, b = a.clamp(min=0), b.clamp(min=0)
    inter = torch.minimum(a, b)
    shared = (inter[..., 0] + inter[..., 2]) * (inter[..., 1] + inter[..., 3])
    area = [(v[..., 0] + v[..., 2]) * (v[..., 1] + v[..., 3]) for v in (a, b)]
    return shared / (area[0] + area[1] - shared + 1e-8)


def dense_losses(outputs: tuple[torch.Tensor, ...], reference: dict[str, torch.Tensor], span: float) -> loop.Losses:
    """Losses of the dense head; `span` is the share of a whole image's side that the grid covers (edges are
    predicted in units of the whole image)."""
    centre, classes, colors, edges, settings = outputs
    owner, is_centre, edge_targets = targets(reference["boxes"], centre.shape[-1])
    over = owner >= 0
    rows = torch.arange(len(owner))[:, None, None].expand_as(owner)[over]
    expected = reference["labels"][rows, owner[over]]  # [M, 2]
    weight = torch.where(is_centre[over], 1.0, 0.3)
    weight = weight / weight.sum()
    pick = lambda t: t.permute(0, 2, 3, 1)[over]  # noqa: E731
    predicted, true = pick(edges), pick(edge_targets) * span
    losses = {
        "centre": F.binary_cross_entropy_with_logits(centre[:, 0], is_centre.float(), pos_weight=torch.tensor(3.0)),
        "class": (F.cross_entropy(pick(classes), expected[:, 0], reduction="none") * weight).sum(),
        "colour": (F.cross_entropy(pick(colors), expected[:, 1], reduction="none") * weight).sum(),
        "box": ((predicted - true).abs().mean(-1) * 8 + 1 - iou(predicted, true)).mul(weight).sum(),
        "setting": F.cross_entropy(settings, reference["settings"][:, None, None].expand_as(owner)),
    }
    losses["loss"] = (
        3 * losses["centre"] + losses["class"] + losses["colour"] + 2 * losses["box"] + 0.3 * losses["setting"]
    )
    return losses


def to_pixels(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 [B, H, W, 3] -> [B, 3, H, W] from -1 to 1, channels last in memory."""
    return torch.as_tensor(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def crop_batch(
    images: list[np.ndarray], reference: dict[str, torch.Tensor], size: int, step: int
) -> tuple[torch.Tensor, dict]:
    """64-pixel windows around one object each, with the boxes in units of the window."""
    rng = np.random.default_rng([7, step])
    side, full = 4 * CELL, rendering.SIZE
    ids = rng.integers(len(reference["boxes"]), size=size)
    boxes = reference["boxes"][ids].clone()
    windows, origins = np.empty((size, side, side, 3), np.uint8), np.empty((size, 2), np.float32)
    for i, scene in enumerate(ids):
        there = np.flatnonzero(boxes[i, :, 2].numpy() > 0)
        x, y, w, h = (boxes[i, rng.choice(there)].numpy() * full).tolist()
        low = (max(0, int(x + w) + 1 - side), max(0, int(y + h) + 1 - side))
        high = (min(full - side, int(x)), min(full - side, int(y)))
        left, top = (int(rng.integers(a, max(a, b) + 1)) for a, b in zip(low, high, strict=True))
        windows[i] = images[scene // rendering.CHUNK][scene % rendering.CHUNK, 0, top : top + side, left : left + side]
        origins[i] = left, top
    if rng.random() < 0.5:  # a mirrored icon is the same icon
        windows = windows[:, :, ::-1].copy()
        boxes[..., 0] = 1 - boxes[..., 0] - boxes[..., 2]
        origins[:, 0] = full - side - origins[:, 0]
    scale = full / side
    boxes[..., :2] = (boxes[..., :2] - torch.from_numpy(origins)[:, None] / full) * scale
    boxes[..., 2:] *= scale
    return to_pixels(windows), {"boxes": boxes, **{key: reference[key][ids] for key in ("labels", "settings")}}


def scene_batch(
    images: list[np.ndarray], reference: dict[str, torch.Tensor], size: int, step: int
) -> tuple[torch.Tensor, dict]:
    """Whole scenes, half of the batches mirrored."""
    rng = np.random.default_rng([8, step])
    ids = rng.integers(len(reference["boxes"]), size=size)
    batch = np.stack([images[i // rendering.CHUNK][i % rendering.CHUNK, 0] for i in ids])
    boxes = reference["boxes"][ids].clone()
    if rng.random() < 0.5:
        batch = batch[:, :, ::-1].copy()
        boxes[..., 0] = torch.where(boxes[..., 2] > 0, 1 - boxes[..., 0] - boxes[..., 2], 0.0)
    return to_pixels(batch), {"boxes": boxes, **{key: reference[key][ids] for key in ("labels", "settings")}}


@torch.inference_mode()
def score(
    encoder: nn.Module, head: nn.Module, images: list[np.ndarray], reference: dict[str, torch.Tensor]
) -> dict[str, float]:
    """Accuracy at each object's centre cell: class, colour, mean IoU; F1 of the centres at 0.5; setting."""
    encoder.eval()
    sums = {"class": 0.0, "colour": 0.0, "iou": 0.0, "setting": 0.0}
    n, hit, n_predicted, n_reference, cells = 0, 0, 0, 0, 0
    flat = np.concatenate([chunk[:, 0] for chunk in images])
    for at in range(0, len(flat), 200):
        part = {key: value[at : at + 200] for key, value in reference.items()}
        with torch.autocast("cpu", torch.bfloat16):
            features = encoder(to_pixels(flat[at : at + 200])).last_hidden_state
        centre, classes, colors, edges, settings = head(features.float())
        owner, is_centre, edge_targets = targets(part["boxes"], centre.shape[-1])
        expected = part["labels"][torch.nonzero(is_centre)[:, 0], owner[is_centre]]
        pick = lambda t, mask=is_centre: t.permute(0, 2, 3, 1)[mask]  # noqa: E731
        sums["class"] += float((pick(classes).argmax(-1) == expected[:, 0]).sum())
        sums["colour"] += float((pick(colors).argmax(-1) == expected[:, 1]).sum())
        sums["iou"] += float(iou(pick(edges), pick(edge_targets)).sum())
        sums["setting"] += float((settings.argmax(1) == part["settings"][:, None, None]).float().sum())
        positive = centre[:, 0] > 0
        hit, n_predicted, n_reference = (
            hit + int((positive & is_centre).sum()),
            n_predicted + int(positive.sum()),
            n_reference + int(is_centre.sum()),
        )
        n, cells = n + len(expected), cells + owner.numel()
    encoder.train()
    result = {key: value / (cells if key == "setting" else n) for key, value in sums.items()}
    return {**result, "centre_f1": 2 * hit / max(1, n_predicted + n_reference)}


def main() -> None:
    """Crops, then scenes; the encoder ends in runs/vision/encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=60_000)
    parser.add_argument("--crop-steps", type=int, default=1600)
    parser.add_argument("--steps", type=int, default=2000)
    args = parser.parse_args()
    torch.manual_seed(0)
    encoder = make_encoder().to(memory_format=torch.channels_last)
    head = DenseHead(256)
    modules = {"encoder": encoder, "head": head}
    images = rendering.open_rendered("scenes", args.scenes)
    held, images = images[-2:], images[:-2]  # the last 2,000 scenes are only for scoring
    print("reading the scenes' references ...")
    reference = references(args.scenes)
    held_references = {key: value[-2 * rendering.CHUNK :] for key, value in reference.items()}
    reference = {key: value[: -2 * rendering.CHUNK] for key, value in reference.items()}

    def stage(batch, size: int, span: float):  # noqa: ANN001, ANN202
        def losses(step: int) -> loop.Losses:
            pixels, expected = batch(images, reference, size, step)
            with torch.autocast("cpu", torch.bfloat16):
                features = encoder(pixels).last_hidden_state
            return dense_losses(head(features.float()), expected, span)

        return losses

    report = lambda: score(encoder, head, held, held_references)  # noqa: E731
    encoder.train()
    loop.run(FOLDER / "crops", modules, stage(crop_batch, 256, 0.5), steps=args.crop_steps, lr=2e-3)
    loop.run(FOLDER / "scenes", modules, stage(scene_batch, 64, 1.0), steps=args.steps, lr=1e-3, evaluate=report)
    figures = {"scenes": len(held_references["boxes"]), **report()}
    print(json.dumps(figures))
    encoder.save_pretrained(FOLDER / "encoder")
    (FOLDER / "figures.json").write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
