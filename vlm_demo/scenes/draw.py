"""Draws scenes with Pillow: soft backgrounds, then every icon with an outline and a shadow."""

import colorsys
import math
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .glyphs import masks
from .objects import SceneObject

RGB = tuple[int, int, int]
# Hue, saturation, value of the nine colours; jitter moves each a little.
HSV: dict[str, tuple[float, float, float]] = {
    "red": (0.995, 0.88, 0.84),
    "orange": (0.075, 0.95, 0.98),
    "yellow": (0.148, 0.85, 0.98),
    "green": (0.37, 0.80, 0.60),
    "blue": (0.60, 0.85, 0.88),
    "purple": (0.765, 0.70, 0.72),
    "pink": (0.915, 0.45, 0.98),
    "brown": (0.065, 0.68, 0.48),
    "white": (0.10, 0.03, 0.98),
}
JITTER = (0.012, 0.05, 0.04)
# Top and bottom colour of the far and the near part, and the height of the horizon (0 = no far part).
GROUNDS: dict[str, tuple[RGB, RGB, RGB, RGB, float]] = {
    "grass": ((168, 214, 246), (214, 236, 250), (139, 201, 104), (92, 160, 70), 0.34),
    "sea": ((190, 224, 246), (226, 242, 250), (74, 164, 206), (24, 104, 160), 0.28),
    "beach": ((112, 190, 222), (150, 214, 232), (244, 226, 178), (226, 196, 136), 0.24),
    "night": ((16, 20, 54), (38, 44, 96), (34, 48, 66), (20, 30, 44), 0.70),
    "snow": ((186, 204, 224), (220, 230, 240), (240, 245, 250), (214, 226, 238), 0.40),
    "room": ((236, 220, 204), (228, 208, 190), (178, 132, 92), (146, 102, 66), 0.66),
}


def paint(color: str, jitter: tuple[float, float, float]) -> RGB:
    """The RGB of a colour name, moved by `jitter` (each -1 to 1)."""
    hue, saturation, value = (base + shift * span for base, shift, span in zip(HSV[color], jitter, JITTER, strict=True))
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(red * 255), round(green * 255), round(blue * 255)


def _ramp(top: RGB, bottom: RGB, height: int) -> np.ndarray:
    steps = np.linspace(0, 1, max(height, 1))[:, None]
    return np.array(top) * (1 - steps) + np.array(bottom) * steps  # [H, 3]


def background(setting: str, seed: int, size: int) -> Image.Image:
    """The empty setting: gradient, a few details, a little noise."""
    rng = random.Random(f"background {setting} {seed}")
    far_top, far_bottom, near_top, near_bottom, horizon = GROUNDS[setting]
    line = round(size * (horizon + rng.uniform(-0.05, 0.05)))
    rows = np.concatenate([_ramp(far_top, far_bottom, line), _ramp(near_top, near_bottom, size - line)])[:size]
    rows = rows * rng.uniform(0.95, 1.04)
    image = Image.fromarray(np.repeat(rows.clip(0, 255).astype(np.uint8)[:, None], size, 1))
    _DETAILS[setting](ImageDraw.Draw(image, "RGBA"), rng, size, line)
    # Noise on a fixed 64-pixel grid, so that a scene looks the same at every size.
    grain = np.random.default_rng(rng.getrandbits(32)).normal(128, 6, (64, 64)).clip(0, 255).astype(np.uint8)
    layer = np.asarray(Image.fromarray(grain).resize((size, size), Image.Resampling.BILINEAR), dtype=np.int16) - 128
    return Image.fromarray((np.asarray(image, dtype=np.int16) + layer[..., None]).clip(0, 255).astype(np.uint8))


def _strokes(draw: ImageDraw.ImageDraw, rng: random.Random, size: int, top: int, count: int, kind: str) -> None:
    """Small marks below `top`: blades of grass, waves, grains of sand."""
    width = max(1, size // 160)
    for _ in range(count):
        x, y = rng.uniform(0, size), rng.uniform(top, size)
        reach = size * rng.uniform(0.012, 0.03)
        if kind == "blade":
            draw.line(
                [(x - reach / 2, y - reach), (x, y), (x + reach / 2, y - reach)], fill=(46, 110, 40, 150), width=width
            )
        elif kind == "wave":
            draw.arc(
                [x - 2 * reach, y - reach, x + 2 * reach, y + reach], 200, 340, fill=(255, 255, 255, 120), width=width
            )
        else:
            dot = reach / 4
            draw.ellipse([x - dot, y - dot, x + dot, y + dot], fill=(150, 116, 66, 130))


def _grass(draw: ImageDraw.ImageDraw, rng: random.Random, size: int, line: int) -> None:
    for _ in range(2):
        x, radius = rng.uniform(0, size), size * rng.uniform(0.25, 0.45)
        draw.ellipse([x - radius, line - radius * 0.3, x + radius, line + radius * 0.5], fill=(139, 201, 104, 255))
    _strokes(draw, rng, size, line, 34, "blade")


def _sea(draw: ImageDraw.ImageDraw, rng: random.Random, size: int, line: int) -> None:
    _strokes(draw, rng, size, line + size // 30, 26, "wave")


def _beach(draw: ImageDraw.ImageDraw, rng: random.Random, size: int, line: int) -> None:
    draw.rectangle([0, line - size * 0.012, size, line + size * 0.012], fill=(255, 255, 255, 190))
    _strokes(draw, rng, size, line + size // 20, 40, "grain")


def _night(draw: ImageDraw.ImageDraw, rng: random.Random, size: int, line: int) -> None:
    for _ in range(26):
        x, y, dot = rng.uniform(0, size), rng.uniform(0, line), size * rng.uniform(0.002, 0.006)
        draw.ellipse([x - dot, y - dot, x + dot, y + dot], fill=(255, 250, 220, rng.randint(120, 230)))
    for _ in range(2):
        x, radius = rng.uniform(0, size), size * rng.uniform(0.3, 0.5)
        draw.ellipse([x - radius, line - radius * 0.25, x + radius, line + radius], fill=(30, 42, 60, 255))


def _snow(draw: ImageDraw.ImageDraw, rng: random.Random, size: int, line: int) -> None:
    for _ in range(2):
        x, radius = rng.uniform(0, size), size * rng.uniform(0.25, 0.45)
        draw.ellipse([x - radius, line - radius * 0.3, x + radius, line + radius * 0.5], fill=(240, 245, 250, 255))
    for _ in range(40):
        x, y, dot = rng.uniform(0, size), rng.uniform(0, size), size * rng.uniform(0.003, 0.008)
        draw.ellipse([x - dot, y - dot, x + dot, y + dot], fill=(255, 255, 255, 220))


def _room(draw: ImageDraw.ImageDraw, rng: random.Random, size: int, line: int) -> None:
    gap = size / rng.randint(9, 12)
    for i in range(14):
        x = i * gap
        draw.line([(x, 0), (x, line)], fill=(205, 180, 160, 110), width=max(1, size // 120))
    for i in range(1, 4):
        y = line + (size - line) * i / 4
        draw.line([(0, y), (size, y)], fill=(100, 66, 40, 120), width=max(1, size // 200))
    draw.rectangle([0, line - size * 0.015, size, line + size * 0.01], fill=(246, 240, 232, 255))


_DETAILS = {"grass": _grass, "sea": _sea, "beach": _beach, "night": _night, "snow": _snow, "room": _room}


def _stamp(image: Image.Image, item: SceneObject, size: int) -> None:
    side = item.size * size  # the glyph's longer side in pixels
    pyramid = masks(item.label)
    level = min(max(int(math.log2(max(pyramid[0][0].width / side, 1))), 0), len(pyramid) - 1)
    fill, outline = pyramid[level]
    shadow = (0.025 * side, 0.035 * side)
    x, y, w, h = (v * size for v in item.bbox)
    left, top = math.floor(x) - 1, math.floor(y) - 1
    box = (math.ceil(x + w + shadow[0]) + 2 - left, math.ceil(y + h + shadow[1]) + 2 - top)

    def turned(mask: Image.Image, dx: float = 0.0, dy: float = 0.0) -> Image.Image:
        # Inverse map: a pixel of the patch -> centred image units -> turned back -> pixels of the mask.
        scale = mask.width / side
        cos, sin = math.cos(item.angle) * scale, math.sin(item.angle) * scale
        ox, oy = left - item.cx * size - dx, top - item.cy * size - dy
        flip = -1 if item.mirror else 1
        centre = mask.width / 2
        a, b, c = flip * cos, flip * sin, flip * (cos * ox + sin * oy) + centre
        d, e, f = -sin, cos, -sin * ox + cos * oy + centre
        return mask.transform(box, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC)

    color = paint(item.color, item.jitter)
    dark = tuple(round(v * 0.3) for v in color)
    image.paste((0, 0, 0), (left, top), turned(outline, *shadow).point(lambda v: v * 0.28))
    image.paste(dark, (left, top), turned(outline))
    image.paste(color, (left, top), turned(fill))


def draw(setting: str, items: Sequence[SceneObject], seed: int, size: int) -> Image.Image:
    """The whole image, `size` pixels a side; small images are drawn at twice the size first, for smooth edges."""
    full = size * 2 if size < 256 else size
    image = background(setting, seed, full)
    for item in items:
        _stamp(image, item, full)
    return image if full == size else image.resize((size, size), Image.Resampling.BOX)
