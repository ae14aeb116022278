"""Predictions beside references, to be looked at: one HTML page, one PNG."""

import base64
import html
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from train import plots
from train.evaluation.predictions import Prediction
from vlm_demo.detection.drawing import annotate

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
Panel = tuple[str, Image.Image]  # caption above it, and the image


@dataclass(frozen=True)
class Card:
    """One example to be shown: its images, the reference and the prediction of each checkpoint, by name."""

    title: str
    panels: list[Panel]
    lines: dict[str, str]


def cards(answers: Mapping[str, Sequence[Prediction]]) -> list[Card]:
    """Cards of the examples that kept their images. `answers`: checkpoint name to its answers, in the same order."""
    shown_cards = []
    for row in zip(*answers.values(), strict=True):
        first = row[0]
        if not first.images:
            continue
        lines = {"asked": first.result.prompt} if first.result.prompt else {}
        lines["reference"] = first.reference_text
        lines |= {name: one.failure or one.result.text for name, one in zip(answers, row, strict=True)}
        if "boxes" in first.reference:
            panels = [("reference", annotate(first.images[0], first.reference_boxes))]
            panels += [
                (name, annotate(first.images[0], one.result.parsed)) for name, one in zip(answers, row, strict=True)
            ]
        else:
            many = len(first.images) > 1
            panels = [(f"image {k}" if many else "", image) for k, image in enumerate(first.images, 1)]
        shown_cards.append(Card(first.name, panels, lines))
    return shown_cards


def write_page(file: Path, title: str, sections: Mapping[str, Sequence[Card]], intro: str = "") -> None:
    """One HTML file that needs no other: every card with its images, the reference and the predictions."""
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
    """The same cards as one PNG, one card per row: its images, then the texts."""
    if not shown:
        return
    columns = max(len(card.panels) for card in shown)
    figure, axes = plots.new_axes(len(shown), columns + 1, size=2.6, widths=[1] * columns + [1.6])
    for row, card in zip(axes, shown, strict=True):
        for axis, (words, image) in zip(row, card.panels, strict=False):
            axis.imshow(image)
            axis.set_title(words, fontsize=9)
        text_block = "\n\n".join(
            textwrap.fill(f"{name}: {_plain(text)}", 44, max_lines=5) for name, text in card.lines.items()
        )
        row[-1].text(0, 1, text_block, fontsize=8, va="top", transform=row[-1].transAxes)
    plots.save(figure, file)


def _plain(text: str) -> str:
    return text.replace("$", r"\$") or "(nothing)"  # matplotlib would read formulas


def _jpeg(image: Image.Image) -> str:
    buffer = BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode()
