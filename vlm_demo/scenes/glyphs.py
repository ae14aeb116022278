"""Font Awesome Free solid glyphs (pip package `fontawesomefree`) as masks and outlines.

The icons are CC BY 4.0, the font is SIL OFL 1.1 (https://fontawesome.com/license/free).
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Label -> code point in fa-solid-900.ttf; silhouettes that a person tells apart at a glance.
CODEPOINTS: dict[str, int] = {
    "cat": 0xF6BE,
    "dog": 0xF6D3,
    "horse": 0xF6F0,
    "cow": 0xF6C8,
    "hippo": 0xF6ED,
    "fish": 0xF578,
    "bird": 0xF520,
    "frog": 0xF52E,
    "spider": 0xF717,
    "dragon": 0xF6D5,
    "car": 0xF5E4,
    "bus": 0xF207,
    "truck": 0xF0D1,
    "tractor": 0xF722,
    "bicycle": 0xF206,
    "plane": 0xF072,
    "helicopter": 0xF533,
    "rocket": 0xF135,
    "boat": 0xE445,
    "tree": 0xF1BB,
    "house": 0xF015,
    "umbrella": 0xF0E9,
    "key": 0xF084,
    "bell": 0xF0F3,
    "book": 0xF02D,
    "chair": 0xF6C0,
    "guitar": 0xF7A6,
    "anchor": 0xF13D,
    "heart": 0xF004,
    "star": 0xF005,
    "crown": 0xF521,
    "hammer": 0xF6E3,
    "cup": 0xF7B6,
    "apple": 0xF5D1,
    "carrot": 0xF787,
    "snowman": 0xF7D0,
    "flag": 0xF024,
    "bulb": 0xF0EB,
    "ghost": 0xF6E2,
    "gift": 0xF06B,
}
MASTER = 384  # side of the largest mask, in pixels; the glyph with its outline fills the longer side
OUTLINE = 0.026  # width of the dark outline, as a share of the glyph's longer side


def _font_path() -> Path:
    # find_spec instead of an import: the package's own __init__ belongs to Django.
    spec = find_spec("fontawesomefree")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("Icon scenes need the package fontawesomefree: pip install fontawesomefree")
    root = Path(next(iter(spec.submodule_search_locations)))
    return root / "static" / "fontawesomefree" / "webfonts" / "fa-solid-900.ttf"


@cache
def masks(label: str) -> list[tuple[Image.Image, Image.Image]]:
    """Fill and outline masks (mode L) of a glyph, each half the size of the one before: 384, 192, 96, 48 pixels.

    The outlined glyph is centred and its longer side spans the whole mask.
    """
    font = ImageFont.truetype(_font_path(), MASTER)
    text = chr(CODEPOINTS[label])
    left, top, right, bottom = font.getbbox(text)
    border = round(OUTLINE * MASTER)
    side = max(right - left, bottom - top) + 2 * border
    fill = Image.new("L", (side, side))
    ImageDraw.Draw(fill).text(
        ((side - right + left) / 2 - left, (side - bottom + top) / 2 - top), text, font=font, fill=255
    )
    outline = _widen(fill, border)
    return [
        (fill.resize((s, s), Image.Resampling.LANCZOS), outline.resize((s, s), Image.Resampling.LANCZOS))
        for s in (MASTER, MASTER // 2, MASTER // 4, MASTER // 8)
    ]


def _widen(mask: Image.Image, border: int) -> Image.Image:
    """The maximum over a square of 2 * border + 1 pixels around each: Pillow's MaxFilter, rows first and then columns,
    which takes a hundredth of the time."""
    values, width = np.pad(np.asarray(mask), border), 2 * border + 1
    values = np.maximum.reduce([values[at : at + mask.height] for at in range(width)])
    return Image.fromarray(np.maximum.reduce([values[:, at : at + mask.width] for at in range(width)]))


@cache
def hull(label: str) -> np.ndarray:
    """Extreme points [P, 2] of the outlined glyph in units of its longer side, centred on 0: enough for exact boxes."""
    array = np.asarray(masks(label)[0][1]) > 127
    points = []
    for y in np.flatnonzero(array.any(1)):
        xs = np.flatnonzero(array[y])
        points += [(xs[0], y), (xs[-1] + 1, y), (xs[0], y + 1), (xs[-1] + 1, y + 1)]
    return np.array(points, dtype=np.float64) / MASTER - 0.5


@cache
def _directional_hull(label: str) -> np.ndarray:
    # Points that are extreme in some direction; the others cannot touch a bounding box at any rotation.
    points = hull(label)
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)])  # [2, A]
    return points[np.unique((points @ directions).argmax(0))]


def extent(label: str, angle: float, mirror: bool) -> tuple[float, float, float, float]:
    """Box (left, top, right, bottom) of the glyph turned by `angle` radians, in units of its longer side around 0."""
    points = _directional_hull(label) * ((-1 if mirror else 1), 1)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = points @ np.array([[cos, sin], [-sin, cos]])
    (left, top), (right, bottom) = turned.min(0), turned.max(0)
    return float(left), float(top), float(right), float(bottom)
