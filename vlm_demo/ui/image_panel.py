"""The images that all tabs share: upload, paste, webcam, examples, fresh draws, and the truth about a draw."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from vlm_demo import images
from vlm_demo.images import ImageError
from vlm_demo.tasks import TASKS

from . import credits, draws, sight, words
from .common import QUICK, Page
from .gradio_private import get_upload_folder, save_bytes_to_cache
from .image_components import ImageSet, UploadedImage
from .runs import Updates
from .visits import Visit

MOST = TASKS["compare"].max_images  # images; every tab for several takes as many
OWN_IMAGE = '<p class="empty">Nobody knows the truth about your own image.</p>'
THUMBNAIL = 128  # pixels a side of an example
CHOOSE = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", { index: Number(button.dataset.index) });
});
"""
# Whoever has clicked one of our images sees the answer of the open tab, where that needs no words.
RUN = """() => {
  const buttons = [...document.querySelectorAll("#caption-run, #detect-run, #compare-run, #auto-run")];
  const open = buttons.find((button) => button.offsetParent !== null);
  const box = open?.id === "auto-run" && document.querySelector("#auto-box textarea");
  const lonely = open?.id === "compare-run" && document.querySelectorAll(".slots img").length < 2;
  if (open && !lonely && (!box || box.value.trim())) open.click();
}"""

Draw = Callable[[int, str], draws.Drawn]


def build(page: Page) -> None:
    """Components and wiring; sets `page.images`."""
    world = page.world(None)
    opened = draws.opening(world)
    first = _value(opened.images[0]) if opened.images else None
    with gr.Row(elem_classes="slots"):
        slots = [
            UploadedImage(
                label="Image" if number == 1 else f"Image {number}",
                type="filepath",
                format="png",
                sources=["upload", "webcam", "clipboard"],
                height=_height(1),
                min_width=130,
                visible=number == 1,
                buttons=["fullscreen"],
                value=first if number == 1 else None,
                alt_text="Your image" if number == 1 else f"Your image {number}",
                elem_id=f"image-{number}",
            )
            for number in range(1, MOST + 1)
        ]
    credits.build(slots, first if isinstance(first, str) else None)
    chosen = gr.Radio(
        [("Image 1", 1)],
        value=1,
        label="Caption and Detect look at",
        visible=False,
        elem_classes="chosen-image",
        elem_id="chosen-image",
    )
    questions, count = gr.State(opened.questions), gr.State(1)
    with gr.Row(elem_classes="row-of-buttons"):
        fresh = gr.Button(draws.label("New scene", world), size="md", elem_id="new-scene")
        more = gr.Button("Add an image", size="md", elem_id="add-image")
        less = gr.Button("Remove the last", size="md", visible=False, elem_id="remove-image")
    strip = gr.HTML(_strip(world), js_on_load=CHOOSE, elem_id="examples")
    with gr.Accordion("Reveal the truth", open=False, elem_id="truth", visible=world == "scenes") as fold:
        truth = gr.HTML(opened.truth)
    page.follow(fold, lambda model: gr.update(visible=page.engine.description(model).samples == "scenes"))
    page.images = ImageSet(slots, chosen, truth, questions, count, more, less)
    page.give_back(page.images.outputs, lambda visit: _again(page.images, visit))

    sight.build(page)

    bring(page, fresh, "New scene", draws.scene)
    page.follow(strip, lambda model: _strip(page.engine.description(model).samples))

    def choose(event: gr.EventData, request: gr.Request) -> Updates:
        return put_example(page.images, int(event.index), page.world(request.session_hash))

    strip.click(choose, None, page.images.outputs, **QUICK).then(None, js=RUN, api_visibility="private")
    resized = [*slots, more, less, chosen, count]
    more.click(lambda count, chosen: _resize(count + 1, chosen), [count, chosen], resized, **QUICK)
    less.click(lambda count, chosen: _resize(count - 1, chosen), [count, chosen], resized, **QUICK)
    for slot in slots:
        slot.input(_check, slot, [slot, truth, questions], **QUICK)


def bring(
    page: Page,
    button: gr.Button,
    name: str,
    draw: Draw,
    also: Sequence[gr.components.Component] = (),
    then: Callable[[draws.Drawn], list[Any]] = lambda drawn: [],
) -> None:
    """Let a button bring fresh images, and `then(drawn)` into the components `also`; its name follows the world."""

    def press(request: gr.Request) -> list[Any]:
        drawn = draw(draws.fresh_seed(), page.world(request.session_hash))
        return [*_put(drawn), *then(drawn)]

    button.click(press, None, [*page.images.outputs, *also], **QUICK).then(None, js=RUN, api_visibility="private")
    page.follow(button, lambda model: draws.label(name, page.engine.description(model).samples))


def put_example(held: ImageSet, number: int, world: str) -> Updates:
    """What puts the example of this number, from 0, in the place of all images."""
    return dict(zip(held.outputs, _put(draws.example(number, world)), strict=True))


def _put(drawn: draws.Drawn) -> list[Any]:
    """What fresh images make of `ImageSet.outputs`."""
    count = len(drawn.images)
    height = _height(count)
    filled = [
        gr.update(value=_value(image), visible=True, height=height, label=_name(number, count))
        for number, image in enumerate(drawn.images, 1)
    ]
    empty = [_gone() for _ in range(MOST - count)]
    return [*filled, *empty, drawn.truth, drawn.questions, *_around(count, 1), count]


def _again(held: ImageSet, visit: Visit) -> Updates:
    """What a page that loads again shows of the images of its visit; nothing where it has not changed any."""
    if not visit.images:
        return {}
    sources = [visit.images.get(slot) for slot in held.slots]
    sources = [source if source and Path(source).exists() else None for source in sources]
    count = max([number for number, source in enumerate(sources, 1) if source], default=1)
    chosen = int(visit.images.get(held.chosen) or 1)
    updates = dict(
        zip([*held.slots, held.more, held.less, held.chosen, held.count], _resize(count, chosen), strict=True)
    )
    for slot, source in zip(held.slots, sources, strict=True):
        updates[slot] = updates[slot] | {"value": source}
    return updates | {part: visit.images[part] for part in (held.truth, held.questions) if part in visit.images}


def _resize(count: int, chosen: int) -> list[Any]:
    """Show so many slots; those that go are emptied."""
    count = min(max(count, 1), MOST)
    height = _height(count)
    kept = [gr.update(visible=True, height=height, label=_name(number, count)) for number in range(1, count + 1)]
    gone = [_gone() for _ in range(MOST - count)]
    return [*kept, *gone, *_around(count, chosen), count]


def _gone() -> dict[str, Any]:
    """A slot that is not needed; one update each, because gradio takes the value out of it."""
    return gr.update(value=None, visible=False)


def _around(count: int, chosen: int) -> list[Any]:
    """The buttons for more and fewer images and the choice among them, where `count` slots are shown."""
    choices = [(f"Image {number}", number) for number in range(1, count + 1)]
    return [
        gr.update(visible=count < MOST),
        gr.update(visible=count > 1),
        gr.update(choices=choices, value=min(chosen, count), visible=count > 1),
    ]


def _name(number: int, count: int) -> str:
    return f"Image {number}" if count > 1 else "Image"


def _height(count: int) -> int:
    """Pixels of a slot when `count` are shown."""
    return 360 if count == 1 else 200


def _value(image: Image.Image | Path) -> Image.Image | str:
    """An image as a slot takes it: of a file a copy, for gradio shows no files but its own."""
    if isinstance(image, Path):
        return save_bytes_to_cache(image.read_bytes(), image.name, get_upload_folder())
    return image


def _check(source: str | None) -> list[Any]:
    """Right after an upload: say at once what cannot be read."""
    if source is not None:
        try:
            images.load(source)
        except ImageError as error:
            gr.Warning(str(error))
            return [None, words.notice(str(error), bad=True), []]
    return [gr.skip(), OWN_IMAGE, []]


@cache
def _strip(world: str) -> str:
    """The examples of a world as small images to press."""
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
