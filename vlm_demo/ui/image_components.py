"""Images as components take them in, and as results show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from vlm_demo import images
from vlm_demo.detection import Parsed
from vlm_demo.detection.drawing import annotate
from vlm_demo.images import ImageError, LoadedImage

from .gradio_private import FILE_TYPE, FileData, ImageData, ListFiles, is_http_url_like, save_pil_to_cache
from .runs import Sources
from .snippets import lent, lent_file

DISPLAY_SIDE = 1024  # pixels; results are drawn on images no larger than this


def _only_uploads(base: type) -> Callable:
    """The method of `base` that takes in what a browser or client sent, but for web addresses.

    Those of the photographs that come with the page stand for these.
    """

    async def take(self: Any, source: str | Path | None) -> str | None:
        if source is not None and is_http_url_like(str(source)):
            source = lent_file(str(source))
            if source is None:
                raise gr.Error(
                    "Web addresses are not opened here. Please upload the image itself.", print_exception=False
                )
        return await base.async_move_resource_to_block_cache(self, source)

    return take


class OneFile(ImageData):
    """What a client sends for an image; a list of one is understood."""

    @classmethod
    def model_validate(cls, sent: Any, **options: Any) -> OneFile:
        one = sent[0] if isinstance(sent, list) and len(sent) == 1 else sent
        return super().model_validate(_file(one, "One image is expected here"), **options)


class SeveralFiles(ListFiles):
    """What a client sends for several images; a single one is understood."""

    @classmethod
    def model_validate(cls, sent: Any, **options: Any) -> SeveralFiles:
        several = sent if isinstance(sent, list) else [sent]
        files = [_file(one, "A list of images is expected here, each") for one in several]
        return super().model_validate(files, **options)


def _file(sent: Any, expected: str) -> Any:
    """`sent`, if it is a file as clients of gradio send it. A path without the mark of a file would not be checked."""
    if isinstance(sent, FileData):
        return sent
    if isinstance(sent, dict):
        marked = isinstance(sent.get("meta"), dict) and sent["meta"].get("_type") == FILE_TYPE
        if marked or not sent.get("path"):
            return sent
    raise gr.Error(f"{expected}, uploaded and sent with handle_file.", print_exception=False)


class UploadedImage(gr.Image):
    """A gr.Image that decodes nothing itself: a listener gets the path or data URL, for `vlm_demo.images` to open.

    Web addresses are refused, so that the server fetches nothing from anywhere on a visitor's word.
    """

    is_template = True  # the browser shows it as the gr.Image that it is
    data_model = OneFile
    async_move_resource_to_block_cache = _only_uploads(gr.Image)

    def example_payload(self) -> dict[str, Any]:
        return lent(0)

    def preprocess(self, payload: ImageData | None) -> str | None:
        if payload is None:
            return None
        if payload.url and payload.url.startswith("data:"):
            return payload.url
        return payload.path


class UploadedImages(gr.File):
    """Several images at once, for the API: paths in, nothing decoded, no web addresses."""

    is_template = True
    async_move_resource_to_block_cache = _only_uploads(gr.File)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.data_model = SeveralFiles

    def example_payload(self) -> list[dict[str, Any]]:
        return [lent(0), lent(1)]

    def preprocess(self, payload: SeveralFiles | None) -> list[str] | None:
        return None if payload is None else [file.path for file in payload.root]


@dataclass
class ImageSet:
    """The images of a visitor, which all tabs share.

    `chosen` tells which of several the tabs for one image look at, `truth` what fresh ones really hold, `questions`
    what can be asked about them, `count` how many slots are shown.
    """

    slots: list[UploadedImage]
    chosen: gr.Radio
    truth: gr.HTML
    questions: gr.State
    count: gr.State
    more: gr.Button
    less: gr.Button

    def as_opened(self, values: Sequence[Any]) -> bool:
        """Whether the values of `inputs` are those of a page that has just been opened."""
        first, *others, chosen = values
        opened = self.slots[0].value["path"] if self.slots[0].value else None
        # gradio keeps each file in a folder that is named by what is in it.
        same = Path(first).parts[-2:] == Path(opened).parts[-2:] if first and opened else first == opened
        return same and not any(others) and int(chosen or 1) == 1

    @property
    def inputs(self) -> list[gr.components.Component]:
        """What a listener is given to know the images."""
        return [*self.slots, self.chosen]

    @property
    def outputs(self) -> list[gr.components.Component]:
        """What changes when others come."""
        return [*self.slots, self.truth, self.questions, self.more, self.less, self.chosen, self.count]

    def sources(self, values: Sequence[Any], single: bool) -> Sources:
        """The images among the values of `inputs`: all of them, or the chosen one alone."""
        *sources, chosen = values
        return (sources[int(chosen or 1) - 1],) if single else tuple(sources)


def load_images(sources: Sequence[str | None]) -> list[LoadedImage]:
    """Open what the slots hold, in order; ImageError when there is none, or a gap that would shift the numbers."""
    filled = [source is not None for source in sources]
    if not any(filled):
        raise ImageError("Choose an image first: upload one, paste one, or press a button below for one of ours.")
    count = sum(filled)
    if not all(filled[:count]):
        raise ImageError(f"Image {filled.index(False) + 1} is empty. Fill it, or remove the images behind it.")
    return [images.load(source) for source in sources if source is not None]


def draw_boxes(image: LoadedImage, parsed: Parsed, number: int = 1) -> Image.Image:
    """Image `number` of those that an answer was about, at display size, with its boxes."""
    shown = for_display(image)
    return annotate(shown, parsed.of_image(number, shown.size))


def boxes_files(
    gallery: gr.Gallery, several: Sequence[LoadedImage], parsed: Parsed, number: int = 0
) -> list[tuple[str, str]]:
    """Draw boxes on image `number`, or on each; returns files for a gallery, with their names."""
    numbers = [number] if number else range(1, len(several) + 1)
    drawn = [(draw_boxes(several[one - 1], parsed, one), f"Image {one}") for one in numbers]
    return [(save_pil_to_cache(image, gallery.GRADIO_CACHE, format=gallery.format), name) for image, name in drawn]


def for_display(image: LoadedImage) -> Image.Image:
    """The image, made smaller when it is very large."""
    if max(image.size) <= DISPLAY_SIDE:
        return image.rgb
    small = image.rgb.copy()
    small.thumbnail((DISPLAY_SIDE, DISPLAY_SIDE))
    return small
