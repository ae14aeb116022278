"""Images that are not photographs, of several kinds: to fit and to measure the out-of-distribution notice."""

import random
from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from vlm_demo.scenes import make_scene

SIDE = 400  # pixels
WORDS = "lorem data model image total year north value result page open file name left cost unit test query".split()


def icon_scene(rng: random.Random) -> Image.Image:
    return make_scene(rng.randrange(10**6)).image(SIDE)


def noise(rng: random.Random) -> Image.Image:
    """Random pixels, fine or coarse."""
    side = rng.choice((8, 20, 60, 150, SIDE))
    pixels = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(
        (SIDE, SIDE), rng.choice((Image.Resampling.NEAREST, Image.Resampling.BICUBIC))
    )


def plain(rng: random.Random) -> Image.Image:
    """One colour, or a blend of two."""
    one, two = (np.array([rng.randrange(256) for _ in range(3)]) for _ in range(2))
    share = np.linspace(0, 1 if rng.random() < 0.7 else 0, SIDE)[:, None, None]
    pixels = np.broadcast_to(one * (1 - share) + two * share, (SIDE, SIDE, 3))
    return Image.fromarray(pixels.astype(np.uint8)).rotate(rng.choice((0, 90, 180)))


def chart(rng: random.Random) -> Image.Image:
    """Bars, lines, points or a pie, as matplotlib draws them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), dpi=100)
    axes = figure.subplots()
    values = [rng.random() for _ in range(rng.randint(4, 12))]
    kind = rng.choice(("bar", "line", "scatter", "pie"))
    if kind == "bar":
        axes.bar(range(len(values)), values, color=rng.choice(("C0", "C1", "C2", "C3")))
    elif kind == "line":
        for _ in range(rng.randint(1, 4)):
            axes.plot([rng.random() for _ in values])
    elif kind == "scatter":
        axes.scatter(values, [rng.random() for _ in values])
    else:
        axes.pie(values)
    axes.set_title(" ".join(rng.sample(WORDS, 3)))
    file = BytesIO()
    figure.savefig(file)
    return Image.open(file).convert("RGB")


def document(rng: random.Random) -> Image.Image:
    """Lines of dark text on light paper."""
    image = Image.new("RGB", (SIDE, round(SIDE * rng.uniform(0.8, 1.4))), rng.choice(("white", "#fdf6e3", "#f4f4f4")))
    draw, size = ImageDraw.Draw(image), rng.randint(9, 18)
    for y in range(20, image.height - 20, round(size * 1.6)):
        line = " ".join(rng.choices(WORDS, k=rng.randint(2, 360 // (size * 4))))
        draw.text((20, y), line, "black", font_size=size)
    return image


def screenshot(rng: random.Random) -> Image.Image:
    """Windows with bars, fields and buttons."""
    dark = rng.random() < 0.4
    paper, ink = ("#202124", "#dddddd") if dark else ("#ffffff", "#222222")
    image = Image.new("RGB", (640, 400), paper)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 640, 36), fill=rng.choice(("#1a73e8", "#333333", "#e8eaed", "#0f766e")))
    draw.text((12, 10), " ".join(rng.sample(WORDS, 3)), "white", font_size=14)
    for _ in range(rng.randint(5, 14)):
        x, y = rng.randrange(10, 480), rng.randrange(50, 350)
        box = (x, y, x + rng.randrange(60, 150), y + rng.randrange(18, 60))
        draw.rounded_rectangle(box, 6, outline="#9aa0a6", fill=rng.choice((paper, "#e8f0fe", "#34a853", "#5f6368")))
        draw.text((x + 8, y + 4), rng.choice(WORDS), ink, font_size=12)
    return image


def drawing(rng: random.Random) -> Image.Image:
    """Lines and flat shapes, as people draw."""
    image = Image.new("RGB", (SIDE, SIDE), rng.choice(("white", "#fffbe6", "#e6f4ff")))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(4, 12)):
        points = [(rng.randrange(SIDE), rng.randrange(SIDE)) for _ in range(rng.randint(2, 6))]
        color = rng.choice(("black", "red", "blue", "green", "orange", "purple"))
        if rng.random() < 0.5:
            draw.line(points, color, rng.randint(2, 7), "curve")
        elif rng.random() < 0.5:
            draw.polygon(points, color)
        else:
            x, y = points[0]
            draw.ellipse((x, y, x + rng.randrange(30, 160), y + rng.randrange(30, 160)), color, "black", 3)
    return image.filter(ImageFilter.SMOOTH)


KINDS: dict[str, Callable[[random.Random], Image.Image]] = {
    "icon scenes": icon_scene,
    "noise": noise,
    "plain colours": plain,
    "charts": chart,
    "documents": document,
    "screenshots": screenshot,
    "drawings": drawing,
}


def make(kind: str, count: int, seed: int) -> list[Image.Image]:
    """`count` images of a kind, the same for the same seed."""
    return [KINDS[kind](random.Random(f"{kind} {seed} {number}")) for number in range(count)]
