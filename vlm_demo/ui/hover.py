"""Boxes that answer to the pointer: the drawn image, and over each box a tinted field that stands out when the pointer
is on its name."""

from __future__ import annotations

import io
from typing import Any

import gradio as gr
from PIL import Image, ImageColor

from vlm_demo.detection import Parsed
from vlm_demo.detection.drawing import annotate, color_of
from vlm_demo.images import LoadedImage

from .gradio_private import (
    AnnotatedImageData,
    Annotation,
    FileData,
    get_upload_folder,
    save_bytes_to_cache,
    save_pil_to_cache,
)
from .image_components import for_display

TINT = 41  # of 255: how strongly a box is filled where the pointer finds it
MOST_TINTED = 40  # boxes that answer to the pointer; each costs an image of its own

Field = tuple[tuple[int, int, int, int], str]  # left, top, right, bottom in pixels, and a name


class HoverImage(gr.AnnotatedImage):
    """A gr.AnnotatedImage whose fields take a byte a pixel while they are made. gradio's own take forty eight.

    It also takes what it has made of a value before.
    """

    is_template = True  # the browser shows it as the gr.AnnotatedImage that it is

    def postprocess(
        self, value: tuple[Image.Image, list[Field]] | AnnotatedImageData | None
    ) -> AnnotatedImageData | None:
        if value is None or isinstance(value, AnnotatedImageData):
            return value
        image, fields = value
        path = save_pil_to_cache(image, self.GRADIO_CACHE, format=self.format)
        annotations = []
        for box, name in fields:
            mask = tinted(image.size, box, self.color_map[name])
            path_of_mask = save_bytes_to_cache(mask, "field.png", self.GRADIO_CACHE)
            annotations.append(Annotation(image=FileData(path=path_of_mask), label=name))
        return AnnotatedImageData(image=FileData(path=path), annotations=annotations)


def tinted(size: tuple[int, int], box: tuple[int, int, int, int], color: str) -> bytes:
    """A transparent PNG with a tinted field."""
    mask = Image.new("P", size, 0)
    mask.putpalette([0, 0, 0, *ImageColor.getrgb(color)])
    mask.paste(1, box)
    file = io.BytesIO()
    mask.save(file, "PNG", transparency=bytes([0, TINT]), compress_level=1)
    return file.getvalue()


def overlay(image: LoadedImage, parsed: Parsed) -> Any:
    """The update of a HoverImage: the boxes drawn, and the fields over the first of them; as files, not as pixels, so
    that it can be kept."""
    shown = for_display(image)
    boxed, colors = fields(parsed, shown.size)
    maker = HoverImage(color_map=colors, render=False)
    maker.GRADIO_CACHE = get_upload_folder()  # which it would have on the page
    return gr.update(value=maker.postprocess((annotate(shown, parsed), boxed)), color_map=colors)


def fields(parsed: Parsed, size: tuple[int, int]) -> tuple[list[Field], dict[str, str]]:
    """The fields over the first boxes on an image of this size, and the colour of each name."""
    boxed, colors = [], {}
    boxes = parsed.of_image(1, size).detections.xyxy.round().astype(int).clip(0).tolist()
    for number, (item, box) in enumerate(zip(parsed.objects[:MOST_TINTED], boxes, strict=False), 1):
        name = f"{number} {item['label']}"
        boxed.append((tuple(box), name))
        colors[name] = color_of(parsed.labels.index(item["label"]))
    return boxed, colors
