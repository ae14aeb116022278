"""Draws boxes on an image."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vlm_demo.detection.reading import Parsed

if TYPE_CHECKING:
    from vlm_demo.detection.library import sv

# Strong colours that differ from each other for most eyes, and keep apart from the image by their white edge.
COLORS = ("#e6194b", "#4363d8", "#3cb44b", "#f58231", "#911eb4", "#008080", "#f032e6", "#9a6324", "#ffe119", "#42d4f4")


def annotate(image: Image.Image, parsed: Parsed, labels: Collection[str] | None = None) -> Image.Image:
    """A copy of `image` with the boxes of `parsed` drawn on it; `labels` limits them to some labels.

    The image may have another size than `parsed.size` (the boxes are fractions); lines and words grow with it.
    """
    from vlm_demo.detection.library import sv  # slow to import

    shown = replace(parsed if labels is None else parsed.only(labels), size=image.size)
    detections = shown.detections
    canvas = image.convert("RGB")
    if not len(detections):
        return canvas
    detections.xyxy = np.round(detections.xyxy).clip(0, np.array([image.width - 1, image.height - 1] * 2))
    palette = sv.ColorPalette.from_hex([color_of(i) for i in range(len(parsed.labels))])
    ink = sv.ColorPalette.from_hex([_ink(color) for color in palette.colors])
    line = max(2, round(max(image.size) / 250))
    text = max(11, round(max(image.size) / 45))
    for annotator in (
        sv.BoxAnnotator(sv.Color.WHITE, thickness=line + max(2, line // 2) * 2),
        sv.BoxAnnotator(palette, thickness=line),
    ):
        canvas = annotator.annotate(canvas, detections)
    words = [_plain(item["label"]) + _percent(item["confidence"]) for item in shown.objects]
    return sv.RichLabelAnnotator(
        palette, text_color=ink, font_size=text, text_padding=max(3, text // 4), smart_position=True
    ).annotate(canvas, detections, words)


def color_of(index: int) -> str:
    """The colour of label `index`: a chosen one, then hues spread by the golden angle."""
    if index < len(COLORS):
        return COLORS[index]
    red, green, blue = colorsys.hls_to_rgb(index * 0.618 % 1, 0.35 + 0.3 * (index % 2), 0.9)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _ink(color: sv.Color) -> str:
    """Black or white, whichever reads better on `colour` (by its luma, ITU-R BT.601)."""
    luma = 0.299 * color.r + 0.587 * color.g + 0.114 * color.b
    return "#000000" if luma > 150 else "#ffffff"


def _plain(label: str) -> str:
    """The label without accents, which the font that Pillow brings does not have."""
    return "".join(char for char in unicodedata.normalize("NFKD", label) if not unicodedata.combining(char))


def _percent(confidence: float | None) -> str:
    return "" if confidence is None else f" {confidence:.0%}"
