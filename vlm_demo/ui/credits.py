"""Who took the photographs that are shown, where they are those that come with the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import gradio as gr

from vlm_demo.samples import Sample, samples

from .common import QUICK

NOBODY = '<p class="quiet">&nbsp;</p>'  # as high as a name, so that nothing moves


def build(slots: Sequence[gr.Image], opened: str | None) -> None:
    """A line that follows what is in the slots; `opened` is what is in the first one when the page opens."""
    line = gr.HTML(credit(opened), elem_classes="line", elem_id="credit")
    gr.on([slot.change for slot in slots], credit, list(slots), line, queue=False, **QUICK)


def credit(*sources: str | None) -> str:
    """The photographers and their licences; NOBODY where no photograph of ours is among the images."""
    several = sum(source is not None for source in sources) > 1
    parts = [
        f"{number} {_named(sample)}" if several else _named(sample)
        for number, source in enumerate(sources, 1)
        if source is not None and (sample := _sample(source))
    ]
    return f'<p class="quiet">Photo{"s" * (len(parts) > 1)}: {"; ".join(parts)}</p>' if parts else NOBODY


def _sample(source: str) -> Sample | None:
    """The photograph that a file holds, whoever has brought it here."""
    path = Path(source)
    for sample in samples():
        if path.name == sample.image and path.is_file() and path.read_bytes() == sample.path.read_bytes():
            return sample
    return None


def _named(sample: Sample) -> str:
    """Author and licence, with links to the photograph and to the licence where there is something to link to."""
    source = sample.source if sample.source.startswith("http") else None
    return f"{_link(sample.author, source)}, {_link(sample.licence, sample.licence_url)}"


def _link(text: str, url: str | None) -> str:
    if url is None:
        return escape(text)
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(text)}</a>'
