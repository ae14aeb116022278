"""Images that show what training did: answers before and after, predicted and reference boxes, feature magnitudes."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from train import plots
from train.data import Source
from train.evaluation.page import cards, write_page, write_sheet
from train.evaluation.predictions import answer_source
from vlm_demo.engine import Engine
from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor


def write_before_after(folder: Path, before: str | Path, after: str | Path, source: Source, count: int = 6) -> None:
    """What two checkpoints (folders or Hub names) answer about the first `count` examples of a source: a page and a PNG
    named by the source and its task."""
    answers = {}
    for name, checkpoint in (("before", before), ("after", after)):
        engine = Engine(checkpoint)
        try:
            answers[name] = list(answer_source(engine, source, count, shown=count))
        finally:
            engine.close()
    shown = cards(answers)
    if shown:
        name = "_".join(re.findall(r"\w+", f"before after {answers['after'][0].task} {source.name}"))
        write_page(folder / f"{name}.html", f"Before and after training: {source.name}", {source.name: shown})
        write_sheet(folder / f"{name}.png", shown)


def write_visualizations(
    folder: Path, before: str | Path, after: str | Path, sources: Sequence[Source], count: int = 6
) -> None:
    """What a training run did: `write_before_after` of each source, and `features.png` of the trained model."""
    for source in sources:
        write_before_after(folder, before, after, source, count)
    images = [image for source in sources for example in source.examples(count) for image in example.images]
    if images:
        model = MiniVLMForConditionalGeneration.from_pretrained(after).eval()
        processor = MiniVLMProcessor.from_pretrained(after)
        write_feature_magnitude(folder / "features.png", model, processor, images[:count])


def write_feature_magnitude(
    file: Path,
    model: MiniVLMForConditionalGeneration,
    processor: MiniVLMProcessor,
    images: Sequence[Image.Image],
) -> None:
    """Each image beside the length of its patch features, before and after the projector.

    Q-Former and resampler give queries, which lie nowhere in the image: there, only the features before are shown.
    """
    pixels = processor.image_processor(list(images), return_tensors="pt")["pixel_values"].to(model.device)
    with torch.inference_mode():
        features = model.get_vision_features(pixels)  # [n, N, C]
        maps = {"vision features": features}
        if model.config.projector in ("linear", "mlp"):
            maps["projected"] = model.model.projector(features)  # [n, M, D]
    lengths = {name: length.float().norm(dim=-1).cpu() for name, length in maps.items()}  # [n, N], [n, M]
    lengths = {name: length for name, length in lengths.items() if math.isqrt(length.shape[1]) ** 2 == length.shape[1]}
    figure, axes = plots.new_axes(len(images), 1 + len(lengths), size=2.6)
    for row, image, k in zip(axes, images, range(len(images)), strict=True):
        row[0].imshow(image)
        for axis, (name, length) in zip(row[1:], lengths.items(), strict=True):
            grid = length[k].unflatten(0, (math.isqrt(length.shape[1]), -1))  # [side, side]
            drawn = axis.imshow(grid.numpy(), cmap="magma", vmin=float(length.min()), vmax=float(length.max()))
            axis.set_title(f"{name}, {grid.shape[0]} x {grid.shape[1]}", fontsize=9)
            figure.colorbar(drawn, ax=axis, fraction=0.046)
    plots.save(figure, file)
