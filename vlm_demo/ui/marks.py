"""Boxes as SVG over an image or a video: they grow with it, and right and wrong differ in more than their colour."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

LETTERS = 24  # of the font, one above the other, fill the height of an image


@dataclass(frozen=True)
class Mark:
    """A box [x, y, w, h] in fractions, and what is written on it; `kind` is "right", "wrong", "missed", or "" where
    nobody knows."""

    text: str
    box: Sequence[float]
    kind: str = ""


def svg(marks: Sequence[Mark], size: tuple[int, int]) -> str:
    """The boxes, to be laid over what has this width and height."""
    width, height = size
    font = height / LETTERS
    parts = []
    for mark in marks:
        x, y, w, h = mark.box[0] * width, mark.box[1] * height, mark.box[2] * width, mark.box[3] * height
        base = y - font / 3 if y > 1.4 * font else y + 1.1 * font  # above the box, or in it where there is no room
        parts.append(
            f'<g class="mark {mark.kind}"><rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>'
            f'<text x="{x + font / 4:.1f}" y="{base:.1f}" font-size="{font:.1f}">{escape(mark.text)}</text></g>'
        )
    texts = escape("; ".join(mark.text for mark in marks) or "none")
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Boxes: {texts}">{"".join(parts)}</svg>'


def figure(image: Image.Image, marks: Sequence[Mark], caption: str, alt: str) -> str:
    """An image with boxes over it, as HTML that needs no file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return (
        f'<figure><div class="marked"><img src="{source}" alt="{escape(alt)}">{svg(marks, image.size)}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
