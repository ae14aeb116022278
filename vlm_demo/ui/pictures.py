"""The picture inputs of every tab: upload, paste, webcam, examples, fresh draws, and the truth about a draw."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ImageData, ListFiles
from gradio_client.utils import is_http_url_like
from PIL import Image

from vlm_demo import images
from vlm_demo.detection import Parsed
from vlm_demo.detection.drawing import annotate
from vlm_demo.images import ImageError
from vlm_demo.samples import samples

from . import draws, words
from .common import QUICK, Page

OWN_PICTURE = '<p class="empty">Nobody knows the truth about your own picture.</p>'
THUMBNAIL = 128  # pixels a side of an example
CHOOSE = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", { index: Number(button.dataset.index) });
});
"""
DISPLAY_SIDE = 1024  # pixels; results are drawn on pictures no larger than this

Draw = Callable[[int, str], draws.Drawn]


def _only_uploads(base: type) -> Callable:
    """The method of `base` that takes in what a browser or client sent, but for web addresses."""

    async def take(self: Any, source: str | Path | None) -> str | None:
        if source is not None and is_http_url_like(str(source)):
            raise gr.Error(
                "Web addresses are not opened here. Please upload the picture itself.", print_exception=False
            )
        return await base.async_move_resource_to_block_cache(self, source)

    return take


class OneFile(ImageData):
    """What a client sends for a picture; a list of one is understood."""

    @classmethod
    def model_validate(cls, sent: Any, **options: Any) -> OneFile:
        one = sent[0] if isinstance(sent, list) and len(sent) == 1 else sent
        return super().model_validate(_file(one, "One picture is expected here"), **options)


class SeveralFiles(ListFiles):
    """What a client sends for several pictures; a single one is understood."""

    @classmethod
    def model_validate(cls, sent: Any, **options: Any) -> SeveralFiles:
        several = sent if isinstance(sent, list) else [sent]
        files = [_file(one, "A list of pictures is expected here, each") for one in several]
        return super().model_validate(files, **options)


def _file(sent: Any, expected: str) -> Any:
    """`sent`, if it is a file as clients of gradio send it. A path without the mark of a file would not be checked."""
    if isinstance(sent, FileData):
        return sent
    if isinstance(sent, dict):
        marked = isinstance(sent.get("meta"), dict) and sent["meta"].get("_type") == "gradio.FileData"
        if marked or not sent.get("path"):
            return sent
    raise gr.Error(f"{expected}, uploaded and sent with handle_file.", print_exception=False)


class Picture(gr.Image):
    """A gr.Image that decodes nothing itself: a listener gets the path or data URL, for `vlm_demo.images` to open.

    Web addresses are refused, so that the server fetches nothing from anywhere on a visitor's word.
    """

    is_template = True  # the browser shows it as the gr.Image that it is
    data_model = OneFile
    async_move_resource_to_block_cache = _only_uploads(gr.Image)

    def preprocess(self, payload: ImageData | None) -> str | None:
        if payload is None:
            return None
        if payload.url and payload.url.startswith("data:"):
            return payload.url
        return payload.path


class PictureFiles(gr.File):
    """Several pictures at once, for the API: paths in, nothing decoded, no web addresses."""

    is_template = True
    async_move_resource_to_block_cache = _only_uploads(gr.File)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.data_model = SeveralFiles

    def preprocess(self, payload: SeveralFiles | None) -> list[str] | None:
        return None if payload is None else [file.path for file in payload.root]


@dataclass
class PictureSet:
    """The slots of one tab; `shown` are listeners' inputs, in order, and `truth` tells what a draw really holds."""

    slots: list[Picture]
    truth: gr.HTML
    questions: gr.State


def load_pictures(sources: Sequence[str | None]) -> list[Image.Image]:
    """Open what the slots hold, in order; ImageError when there is none, or a gap that would shift the numbers."""
    filled = [source is not None for source in sources]
    if not any(filled):
        raise ImageError("Choose a picture first: upload one, paste one, or press a button below for one of ours.")
    count = sum(filled)
    if not all(filled[:count]):
        raise ImageError(f"Picture {filled.index(False) + 1} is empty. Fill it, or remove the pictures behind it.")
    return [images.load(source) for source in sources if source is not None]


def draw_boxes(picture: Image.Image, parsed: Parsed, number: int = 1) -> Image.Image:
    """Picture `number` of those that an answer was about, at display size, with its boxes."""
    shown = for_display(picture)
    return annotate(shown, parsed.of_image(number, shown.size))


def for_display(picture: Image.Image) -> Image.Image:
    """The picture, made smaller when it is very large."""
    if max(picture.size) <= DISPLAY_SIDE:
        return picture
    small = picture.copy()
    small.thumbnail((DISPLAY_SIDE, DISPLAY_SIDE))
    return small


def picture_set(
    page: Page, tab: str, buttons: dict[str, Draw], limit: int = 1, start: int = 1, examples: bool = True
) -> PictureSet:
    """Build the slots (`start` of at most `limit` are shown), a button for each draw, examples and the truth."""
    many = limit > 1
    slots: list[Picture] = []
    with gr.Row(elem_classes="slots"):
        for number in range(1, limit + 1):
            slots.append(
                Picture(
                    label=f"Picture {number}" if many else "Picture",
                    type="filepath",
                    format="png",
                    sources=["upload", "webcam", "clipboard"],
                    height=_height(start, limit),
                    min_width=150,
                    visible=number <= start,
                    buttons=["fullscreen"],
                    value=_first(page, number) if number <= start else None,
                    alt_text=f"Your picture {number}" if many else "Your picture",
                    elem_id=f"{tab}-picture-{number}",
                )
            )
    questions = gr.State([])
    with gr.Row(elem_classes="row-of-buttons"):
        pressed = {}
        for name, draw in buttons.items():
            text = draws.label(name, page.world(None))
            button = gr.Button(text, size="sm", elem_id=f"{tab}-{name.lower().replace(' ', '-')}")
            page.follow(button, lambda model, name=name: draws.label(name, page.engine.description(model).samples))
            pressed[button] = draw
        more = gr.Button("Add a picture", size="sm", visible=many and start < limit, elem_id=f"{tab}-more")
        less = gr.Button("Remove the last", size="sm", visible=False, elem_id=f"{tab}-less")
    strip = None
    if examples:
        world = page.world(None)
        strip = gr.HTML(_strip(world), js_on_load=CHOOSE, elem_id=f"{tab}-examples")
    with gr.Accordion("Reveal the truth", open=False, elem_id=f"{tab}-truth"):
        truth = gr.HTML('<p class="empty">Draw a new scene, and what it really holds is told here.</p>')
    outputs = [*slots, truth, questions, more, less]
    shown = gr.State(start)

    def put(drawn: draws.Drawn) -> list[Any]:
        count = max(len(drawn.images), start)
        height = _height(count, limit)
        filled = [gr.update(value=image, visible=True, height=height) for image in drawn.images]
        empty = [gr.update(value=None, visible=number < count, height=height) for number in range(len(filled), limit)]
        return [*filled, *empty, drawn.truth, drawn.questions, *_more_less(count, start, limit), count]

    for button, draw in pressed.items():

        def press(request: gr.Request, draw: Draw = draw) -> list[Any]:
            return put(draw(draws.fresh_seed(), page.world(request.session_hash)))

        button.click(press, None, [*outputs, shown], **QUICK)
    if strip is not None:
        page.follow(strip, lambda model: _strip(page.engine.description(model).samples))

        def choose(event: gr.EventData, request: gr.Request) -> list[Any]:
            return put(draws.example(int(event.index), page.world(request.session_hash)))

        strip.click(choose, None, [*outputs, shown], **QUICK)
    if many:

        def change(count: int, by: int) -> list[Any]:
            count = min(max(count + by, start), limit)
            height = _height(count, limit)
            kept = [gr.update(visible=True, height=height)] * count
            gone = [gr.update(visible=False, value=None)] * (limit - count)
            return [*kept, *gone, *_more_less(count, start, limit), count]

        resized = [*slots, more, less, shown]
        more.click(lambda count: change(count, 1), shown, resized, **QUICK)
        less.click(lambda count: change(count, -1), shown, resized, **QUICK)
    for slot in slots:
        slot.input(_check, slot, [slot, truth, questions], **QUICK)
    return PictureSet(slots, truth, questions)


def _first(page: Page, number: int) -> str | None:
    """What a slot holds when the page opens, so that the first answer is one press away."""
    return str(samples()[number - 1].path) if page.world(None) == draws.PHOTOGRAPHS else None


def _height(count: int, limit: int) -> int:
    """Pixels of a slot when `count` of `limit` are shown."""
    return 360 if limit == 1 else 300 if count == 1 else 220


def _more_less(count: int, start: int, limit: int) -> list[Any]:
    return [gr.update(visible=count < limit), gr.update(visible=count > start)]


def _check(source: str | None) -> list[Any]:
    """Right after an upload: say at once what cannot be read."""
    if source is not None:
        try:
            images.load(source)
        except ImageError as error:
            gr.Warning(str(error))
            return [None, words.notice(str(error), bad=True), []]
    return [gr.skip(), OWN_PICTURE, []]


@cache
def _strip(world: str) -> str:
    """The examples of a world as small pictures to press."""
    buttons = []
    for index, image in enumerate(draws.examples(world, THUMBNAIL)):
        small = io.BytesIO()
        image.save(small, "JPEG", quality=85)
        source = f"data:image/jpeg;base64,{base64.b64encode(small.getvalue()).decode()}"
        name = f"Example {index + 1}"
        buttons.append(
            f'<button type="button" data-index="{index}" aria-label="{name}"><img src="{source}" alt=""></button>'
        )
    return f'<div class="examples" role="group" aria-label="Examples">{"".join(buttons)}</div>'
