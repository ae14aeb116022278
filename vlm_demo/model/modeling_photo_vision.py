"""The vision tower for photographs: EfficientNet-Lite0 (what is there) and SSD-MobileNetV2 (where it is), side by side.

Two towers joined channel by channel on one grid, as in Eagle (Shi et al. 2024, https://arxiv.org/abs/2408.15998), and
behind the grid the regions that the detector proposes, as in bottom-up attention (Anderson et al. 2018,
https://arxiv.org/abs/1707.07998): for each the mean feature of its box, its class scores and where it lies. Batch
norms are folded into the convolutions, so the tower has no training mode of its own.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from .configuration_photo_vision import PhotoVisionConfig

# (repeats, kernel, stride, expansion, input channels, output channels) of each stage
EFFICIENTNET_LITE0 = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
MOBILENET_V2 = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (3, 3, 2, 6, 24, 32),
    (4, 3, 2, 6, 32, 64),
    (3, 3, 1, 6, 64, 96),
    (3, 3, 2, 6, 96, 160),
    (1, 3, 1, 6, 160, 320),
)
SSD_EXTRA = ((1280, 256, 512), (512, 128, 256), (256, 128, 256), (256, 64, 128))  # channels: in, between, out
SSD_WIDTHS = (576, 1280, 512, 256, 256, 128)  # channels of the maps that boxes are read from
SSD_SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
CANDIDATES = 100  # boxes of an image among which duplicates are looked for
SAME_CLASS, SAME_PLACE = 0.5, 0.85  # IoU from which two boxes are one: of one class, of any two


class ConvAct(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding, for any input size, and ReLU6 unless `act` is off."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True):
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        high, wide = (max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
        if high or wide:
            x = F.pad(x, [wide // 2, wide - wide // 2, high // 2, high - high // 2])
        x = super().forward(x)
        return F.relu6(x) if self.act else x


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        width = inputs * expansion
        self.expand = ConvAct(inputs, width, 1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvAct(width, width, kernel, stride, groups=width)
        self.project = ConvAct(width, outputs, 1, act=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


def stages(table: tuple[tuple[int, ...], ...]) -> nn.ModuleList:
    """The blocks of a table above, one after another."""
    return nn.ModuleList(
        InvertedResidual(inputs if first else outputs, outputs, kernel, stride if first else 1, expansion)
        for repeats, kernel, stride, expansion, inputs, outputs in table
        for first in (number == 0 for number in range(repeats))
    )


class Classifier(nn.Module):
    """EfficientNet-Lite0 (Tan and Le 2019) without its head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvAct(3, 32, 3, 2)
        self.blocks = stages(EFFICIENTNET_LITE0)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps at stride 32 `[B, 320, h, w]` and 16 `[B, 112, H, W]` of pixels from -1 to 1 `[B, 3, 300, 300]`."""
        x = self.stem((x * 127.5 + 0.5) / 128)  # it was trained on (pixel - 127) / 128
        for block in self.blocks[:-5]:
            x = block(x)
        middle = x
        for block in self.blocks[-5:]:
            x = block(x)
        return x, middle


class Detector(nn.Module):
    """SSD (Liu et al. 2016) on MobileNetV2, without the background class."""

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.num_labels = num_labels
        self.stem = ConvAct(3, 32, 3, 2)
        self.blocks = stages(MOBILENET_V2)
        self.top = ConvAct(320, 1280, 1)
        self.extra = nn.ModuleList(
            nn.Sequential(ConvAct(i, m, 1), ConvAct(m, m, 3, 2, groups=m), ConvAct(m, o, 1)) for i, m, o in SSD_EXTRA
        )
        counts = [3, *[6] * 5]
        self.classes = nn.ModuleList(
            ConvAct(width, n * num_labels, 3, act=False) for width, n in zip(SSD_WIDTHS, counts, strict=True)
        )
        self.boxes = nn.ModuleList(
            ConvAct(width, n * 4, 3, act=False) for width, n in zip(SSD_WIDTHS, counts, strict=True)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps at stride 32 `[B, 1280, h, w]` and 16 `[B, 576, H, W]`, and of all anchors boxes `[B, A, 4]` (left, top,
        right, bottom as shares of the image) and logits `[B, A, labels]`."""
        x = self.stem(x)
        for block in self.blocks[:13]:
            x = block(x)
        middle = self.blocks[13].expand(x)  # where the reference implementation reads it
        x = self.blocks[13].project(self.blocks[13].depthwise(middle))
        for block in self.blocks[14:]:
            x = block(x)
        top = x = self.top(x)
        maps = [middle, top]
        for extra in self.extra:
            x = extra(x)
            maps.append(x)
        boxes, logits = [], []
        for level, (features, box, label) in enumerate(zip(maps, self.boxes, self.classes, strict=True)):
            offsets = box(features).permute(0, 2, 3, 1).unflatten(-1, (-1, 4)).flatten(1, 3).float()  # [B, a, 4]
            boxes.append(decode_boxes(offsets, anchors(level, features.shape[-2:], offsets.device)))
            logits.append(label(features).permute(0, 2, 3, 1).unflatten(-1, (-1, self.num_labels)).flatten(1, 3))
        return top, middle, torch.cat(boxes, 1), torch.cat(logits, 1).float()


def anchors(level: int, size: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Anchors `[H * W * n, 4]` (centre x, centre y, width, height) of one of SSD's maps."""
    scale, larger = SSD_SCALES[level], math.sqrt(SSD_SCALES[level] * SSD_SCALES[level + 1])
    shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]  # (scale, aspect ratio)
    if level > 0:
        shapes = [(scale, 1.0), (scale, 2.0), (scale, 0.5), (scale, 3.0), (scale, 1 / 3), (larger, 1.0)]
    y, x = ((torch.arange(n, device=device) + 0.5) / n for n in size)
    centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[:, :, None]  # [H, W, 1, 2]
    sides = torch.tensor([[s * math.sqrt(r), s / math.sqrt(r)] for s, r in shapes], device=device)
    return torch.cat(torch.broadcast_tensors(centres, sides), -1).flatten(0, 2)


def decode_boxes(offsets: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
    """Boxes (left, top, right, bottom, within 0 and 1) of SSD's offsets `[B, A, 4]` (y, x, height, width) from anchors
    `[A, 4]`."""
    y, x, height, width = offsets.unbind(-1)
    centre_x, centre_y = x / 10 * anchors[:, 2] + anchors[:, 0], y / 10 * anchors[:, 3] + anchors[:, 1]
    half_w, half_h = (width / 5).exp() * anchors[:, 2] / 2, (height / 5).exp() * anchors[:, 3] / 2
    corners = [centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h]
    return torch.stack(corners, -1).clamp(0, 1)


def pairwise_iou(boxes: torch.Tensor) -> torch.Tensor:
    """IoU `[B, K, K]` of boxes `[B, K, 4]`."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    both = (high - low).clamp(min=0).prod(-1)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1)  # [B, K]
    return both / (area[:, :, None] + area[:, None, :] - both).clamp(min=1e-9)


def pool_boxes(features: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Mean of a map `[B, C, H, W]` over each box `[B, R, 4]`, cells counted by their share: `[B, R, C]`."""

    def cover(low: torch.Tensor, high: torch.Tensor, cells: int) -> torch.Tensor:  # [B, R, cells]
        edges = torch.arange(cells, device=low.device) / cells
        middle = (low + high) / 2  # a box has an extent of at least a hundredth of a cell
        half = ((high - low) / 2).clamp(min=0.005 / cells)
        covered = torch.minimum((middle + half)[..., None], edges + 1 / cells) - torch.maximum(
            (middle - half)[..., None], edges
        )
        covered = covered.clamp(min=0)
        return covered / covered.sum(-1, keepdim=True).clamp(min=1e-9)

    left, top, right, bottom = boxes.unbind(-1)
    rows, columns = cover(top, bottom, features.shape[2]), cover(left, right, features.shape[3])
    return torch.einsum("bchw,brh,brw->brc", features.float(), rows, columns)


@dataclass
class PhotoVisionOutput(BaseModelOutput):
    """`last_hidden_state` `[B, grid + regions, C]`; the regions' `boxes` `[B, R, 4]` (left, top, right, bottom as
    shares), `scores` `[B, R]` and `labels` `[B, R]`, most certain first."""

    boxes: torch.Tensor | None = None
    scores: torch.Tensor | None = None
    labels: torch.Tensor | None = None


class PhotoVisionModel(PreTrainedModel):
    """See the head of this file."""

    config_class = PhotoVisionConfig
    base_model_prefix = "vision"
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, config: PhotoVisionConfig):
        super().__init__(config)
        self.classifier = Classifier()
        self.detector = Detector(config.num_labels)
        # What brings each channel of the maps to mean 0 and deviation 1 over photographs.
        self.register_buffer("feature_mean", torch.zeros(sum(config.map_sizes)))
        self.register_buffer("feature_std", torch.ones(sum(config.map_sizes)))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, PhotoVisionModel):
            module.feature_mean.zero_()
            module.feature_std.fill_(1.0)

    def forward(self, pixel_values: torch.Tensor, **kwargs) -> PhotoVisionOutput:
        """`pixel_values` `[B, 3, image_size, image_size]`, from -1 to 1."""
        config = self.config
        high, low = self.classifier(pixel_values)
        seen_high, seen_low, boxes, logits = self.detector(pixel_values)
        maps = (high, low, seen_high, seen_low)
        boxes, class_scores, scores, labels = self.propose(boxes, logits.sigmoid())

        grid = torch.cat([F.adaptive_avg_pool2d(one.float(), config.grid_size) for one in maps], 1)
        grid = grid.flatten(2).transpose(1, 2)  # [B, G, maps]
        regions = torch.cat([pool_boxes(one, boxes) for one in maps], -1)  # [B, R, maps]
        seen = (torch.cat([grid, regions], 1) - self.feature_mean.float()) / self.feature_std.float()
        proposed = torch.cat([class_scores.sqrt(), self.describe(boxes), torch.ones_like(scores)[..., None]], -1)
        proposed = F.pad(proposed, (0, 0, config.grid_size**2, 0))  # the grid knows no boxes: [B, G + R, labels + ...]
        features = torch.cat([seen, proposed], -1).to(pixel_values.dtype)  # [B, G + R, C]
        return PhotoVisionOutput(last_hidden_state=features, boxes=boxes, scores=scores, labels=labels)

    def propose(
        self, boxes: torch.Tensor, class_scores: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The most certain boxes without duplicates (fast NMS, Bolya et al. 2019): boxes `[B, R, 4]`, the scores of
        all their classes `[B, R, labels]`, their best score and class `[B, R]`."""
        best, label = class_scores.max(-1)  # [B, A]
        score, index = best.topk(min(CANDIDATES, best.shape[1]), dim=1)  # [B, K]
        label = label.gather(1, index)
        boxes = boxes.gather(1, index[..., None].expand(-1, -1, 4))
        overlap = pairwise_iou(boxes).triu(1)  # [B, K, K], with those before
        same = label[:, :, None] == label[:, None, :]
        double = ((overlap > SAME_PLACE) | (same & (overlap > SAME_CLASS))).any(1)  # [B, K]
        score, kept = (score - double.float()).topk(self.config.num_regions, dim=1)  # doubles only where boxes lack
        index = index.gather(1, kept)
        class_scores = class_scores.gather(1, index[..., None].expand(-1, -1, class_scores.shape[-1]))
        return boxes.gather(1, kept[..., None].expand(-1, -1, 4)), class_scores, score, label.gather(1, kept)

    def describe(self, boxes: torch.Tensor) -> torch.Tensor:
        """Left, top, width, height of boxes `[B, R, 4]`, plain and as sines and cosines of rising frequency."""
        plain = torch.cat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], -1)  # [B, R, 4]
        turns = torch.pi * 2.0 ** torch.arange(self.config.fourier_frequencies, device=boxes.device)
        angles = (plain[..., None] * turns).flatten(-2)  # [B, R, 4 * F]
        return torch.cat([plain, angles.sin(), angles.cos()], -1)


__all__ = ["PhotoVisionModel"]
