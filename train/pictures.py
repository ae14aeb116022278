"""Pictures that show what training did: answers before and after, boxes said and true, losses, feature magnitudes."""

import base64
import html
import math
import re
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from train.answers import Answered, answer_source
from vlm_demo.detections import annotate
from vlm_demo.engine import Engine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from train.sources import Source
    from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor

Panel = tuple[str, Image.Image]  # words above it, and the picture


@dataclass(frozen=True)
class Card:
    """One example to be shown: its pictures, and what is true and what each checkpoint said, by name."""

    title: str
    panels: list[Panel]
    lines: dict[str, str]


def cards(answers: Mapping[str, Sequence[Answered]]) -> list[Card]:
    """Cards of the examples that kept their pictures. `answers`: checkpoint name to its answers, in the same order."""
    found = []
    for row in zip(*answers.values(), strict=True):
        first = row[0]
        if not first.pictures:
            continue
        lines = {"asked": first.result.prompt} if first.result.prompt else {}
        lines["true"] = first.true_text
        lines |= {name: one.failure or one.result.text for name, one in zip(answers, row, strict=True)}
        if "boxes" in first.truth:
            panels = [("true", annotate(first.pictures[0], first.true_boxes))]
            panels += [
                (name, annotate(first.pictures[0], one.result.parsed)) for name, one in zip(answers, row, strict=True)
            ]
        else:
            many = len(first.pictures) > 1
            panels = [(f"image {k}" if many else "", picture) for k, picture in enumerate(first.pictures, 1)]
        found.append(Card(first.name, panels, lines))
    return found


def write_before_after(folder: Path, before: str | Path, after: str | Path, source: "Source", count: int = 6) -> None:
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


def write_training_pictures(
    folder: Path, before: str | Path, after: str | Path, sources: Sequence["Source"], count: int = 6
) -> None:
    """What a training run did: `write_before_after` of each source, and `features.png` of the trained model."""
    from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor

    for source in sources:
        write_before_after(folder, before, after, source, count)
    images = [image for source in sources for example in source.examples(count) for image in example.images]
    if images:
        model = MiniVLMForConditionalGeneration.from_pretrained(after).eval()
        processor = MiniVLMProcessor.from_pretrained(after)
        write_feature_magnitude(folder / "features.png", model, processor, images[:count])


def write_page(file: Path, title: str, sections: Mapping[str, Sequence[Card]], intro: str = "") -> None:
    """One HTML file that needs no other: every card with its pictures, what is true, and what was said."""
    body = []
    for heading, shown in sections.items():
        body.append(f"<h2>{html.escape(heading)}</h2>")
        for card in shown:
            panels = "".join(
                f'<figure><figcaption>{html.escape(words)}</figcaption><img alt="{html.escape(words or card.title)}" '
                f'src="data:image/jpeg;base64,{_jpeg(image)}"></figure>'
                for words, image in card.panels
            )
            lines = "".join(
                f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in card.lines.items()
            )
            body.append(f"<section><h3>{html.escape(card.title)}</h3>{panels}<dl>{lines}</dl></section>")
    intro = f"<pre>{html.escape(intro)}</pre>" if intro else ""
    page = PAGE.format(title=html.escape(title), intro=intro, body="\n".join(body))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page, encoding="utf-8")


def write_sheet(file: Path, shown: Sequence[Card]) -> None:
    """The same cards as one PNG, a card a row: its pictures, then the words."""
    if not shown:
        return
    columns = max(len(card.panels) for card in shown)
    figure, axes = _axes(len(shown), columns + 1, size=2.6, widths=[1] * columns + [1.6])
    for row, card in zip(axes, shown, strict=True):
        for axis, (words, image) in zip(row, card.panels, strict=False):
            axis.imshow(image)
            axis.set_title(words, fontsize=9)
        said = "\n\n".join(
            textwrap.fill(f"{name}: {_plain(text)}", 44, max_lines=5) for name, text in card.lines.items()
        )
        row[-1].text(0, 1, said, fontsize=8, va="top", transform=row[-1].transAxes)
    _save(figure, file)


def write_losses(file: Path, log: Sequence[Mapping[str, float]]) -> None:
    """Curves of the losses of a log, [{"step", "loss", a task's loss, ...}]; whatever else it holds is left out."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = dict.fromkeys(
        name for entry in log for name in entry if name not in NO_LOSSES and not name.endswith("_tokens")
    )
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name in names:
        points = [(entry["step"], entry[name]) for entry in log if name in entry]
        axes.plot(*zip(*points, strict=True), label=name, linewidth=2.5 if name == "loss" else 1.2)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(ncols=2, fontsize=8)
    _save(figure, file)


def write_feature_magnitude(
    file: Path,
    model: "MiniVLMForConditionalGeneration",
    processor: "MiniVLMProcessor",
    images: Sequence[Image.Image],
) -> None:
    """Each picture beside the length of its patch features, before and after the projector.

    Q-Former and resampler give queries, which lie nowhere in the picture: there, only the features before are shown.
    """
    import torch

    pixels = processor.image_processor(list(images), return_tensors="pt")["pixel_values"].to(model.device)
    with torch.inference_mode():
        features = model.get_vision_features(pixels)  # [n, N, C]
        maps = {"vision features": features}
        if model.config.projector in ("linear", "mlp"):
            maps["projected"] = model.model.projector(features)  # [n, M, D]
    lengths = {name: found.float().norm(dim=-1).cpu() for name, found in maps.items()}  # [n, N], [n, M]
    lengths = {name: found for name, found in lengths.items() if math.isqrt(found.shape[1]) ** 2 == found.shape[1]}
    figure, axes = _axes(len(images), 1 + len(lengths), size=2.6)
    for row, image, k in zip(axes, images, range(len(images)), strict=True):
        row[0].imshow(image)
        for axis, (name, found) in zip(row[1:], lengths.items(), strict=True):
            grid = found[k].unflatten(0, (math.isqrt(found.shape[1]), -1))  # [side, side]
            drawn = axis.imshow(grid.numpy(), cmap="magma", vmin=float(found.min()), vmax=float(found.max()))
            axis.set_title(f"{name}, {grid.shape[0]} x {grid.shape[1]}", fontsize=9)
            figure.colorbar(drawn, ax=axis, fraction=0.046)
    _save(figure, file)


def _axes(rows: int, columns: int, size: float, widths: Sequence[float] | None = None) -> tuple["Figure", list]:
    """A figure and its axes, row by row, without ticks and frames; `size` inches each."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    widths = widths or [1] * columns
    figure, axes = plt.subplots(
        rows, columns, figsize=(size * sum(widths), size * rows), squeeze=False, width_ratios=widths
    )
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, list(axes)


def _save(figure: "Figure", file: Path) -> None:
    import matplotlib.pyplot as plt

    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():  # an untrained model writes signs of any alphabet, and the font has few
        warnings.filterwarnings("ignore", "(?s)Glyph .* missing")
        figure.tight_layout()
        figure.savefig(file, dpi=110)
    plt.close(figure)


def _plain(text: str) -> str:
    return text.replace("$", r"\$") or "(nothing)"  # matplotlib would read formulas


def _jpeg(image: Image.Image) -> str:
    buffer = BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode()


# What a trainer logs beside losses.
NO_LOSSES = {"step", "epoch", "learning_rate", "grad_norm", "stage"}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.4 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
section {{ border-top: 1px solid #ccc; padding: .5rem 0 }} h3 {{ font-size: 1rem; color: #666; margin: .3rem 0 }}
figure {{ display: inline-block; margin: 0 .6rem .3rem 0; vertical-align: top }} figcaption {{ color: #666 }}
img {{ max-width: 20rem }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .3rem 0 }}
dt {{ color: #666 }} dd {{ margin: 0 }} pre {{ overflow-x: auto }}
</style></head><body><h1>{title}</h1>
{intro}
{body}
</body></html>
"""
