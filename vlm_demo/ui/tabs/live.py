"""The Live tab: captions, boxes or the answer to one question follow a camera, as fast as the machine can."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from vlm_demo import images
from vlm_demo.images import ImageError
from vlm_demo.results import EngineError, Result, SamplingParameters

from .. import words
from ..common import MODEL_CALL, QUICK, Page, Updates
from ..jobs import about_one
from ..marks import Mark, svg
from ..owner import address
from ..runs import Replaced, in_thread

if TYPE_CHECKING:
    from vlm_demo.images import LoadedImage

log = logging.getLogger(__name__)

CAMERA = (Path(__file__).parents[1] / "camera.js").read_text(encoding="utf-8")
KINDS = [("Caption", "caption"), ("Boxes", "detect"), ("A question", "vqa")]
FACING = [("Rear", "environment"), ("Front", "user")]  # as browsers call them
TEMPLATE = (
    '<div class="marked"><video autoplay muted playsinline aria-label="What the camera sees"></video>${value}</div>'
)
INVITATION = (
    '<p class="empty">Start the camera, and what the model says follows it. Frames go to this server only, are kept '
    "nowhere, and the camera is given back when you leave this tab.</p>"
)


def shown(number: int, inside: str, refused: bool = False) -> str:
    """What stands over and below the video; `number` tells the page which frame it is about."""
    return f'<div data-frame="{number}"{" data-refused" if refused else ""}>{inside}</div>'


def read_frame(sent: object) -> LoadedImage:
    """A frame as the page sends it, a data URL; anything else could be the path of a file of this machine."""
    if not (isinstance(sent, str) and sent.startswith("data:image/")):
        raise ImageError("A frame of the camera must come as a data: URL of an image.")
    return images.load(sent)


def answer(result: Result, size: tuple[int, int], threshold: float) -> str:
    """A whole answer about a frame of this size."""
    if result.parsed is None:
        return f'<p class="answer" role="status">{escape(result.text)}</p>'
    objects = result.parsed.above(threshold).objects
    names = ", ".join(item["label"] for item in objects) or "nothing that it knows"
    marks = svg([Mark(item["label"], item["bbox"]) for item in objects], size)
    return f'{marks}<p class="answer" role="status">{escape(names)}</p>'


@dataclass
class LiveTab:
    """The components that an answer is written to."""

    page: Page
    camera: gr.HTML
    line: gr.HTML

    async def look(self, event: gr.EventData, request: gr.Request, kind: str, question: str) -> AsyncIterator[Updates]:
        """Answer about one frame. A newer frame of the same visitor would take this one's place in the queue."""
        page, camera, line = self.page, self.camera, self.line
        session, number = request.session_hash or "", int(event.number)
        run = page.sessions.start(session, "live", address=address(request))
        try:
            image = await in_thread(read_frame, event.frame)
            start = about_one(page.engine, kind, image, question if kind == "vqa" else "")
            async for _, result in run.follow(partial(start, SamplingParameters(), run.session, run.model)):
                if result.position is not None:  # a text in the making would flicker
                    yield {line: words.quiet(result)}
            over = result.finish_reason == "cancelled"
            notice = page.outside([result], run.model)
            inside = answer(result, image.size, page.engine.description(run.model).threshold)
            yield {line: ""} if over else {line: notice, camera: shown(number, inside)}
        except Replaced:
            return
        except (ImageError, EngineError) as error:
            yield {line: "", camera: shown(number, words.notice(str(error), bad=True), refused=True)}
        except Exception:
            log.exception("the live tab failed")
            failure = words.notice("Something went wrong here; the log of the server says what.", bad=True)
            yield {line: "", camera: shown(number, failure, refused=True)}
        finally:
            page.sessions.finish(run)


def build(page: Page) -> None:
    """Components and wiring of the tab."""
    with gr.Row(elem_classes="sides"):
        with gr.Column(scale=6, min_width=300):
            camera = gr.HTML(
                INVITATION,
                html_template=TEMPLATE,
                js_on_load=CAMERA,
                elem_classes="answer-place",
                elem_id="live-camera",
            )
            line = gr.HTML(elem_id="live-line", elem_classes="line")
            gr.HTML('<p class="quiet"></p>', elem_id="live-pace")
        with gr.Column(scale=5, min_width=300):
            kind = gr.Radio(KINDS, value="caption", label="What follows the camera", elem_id="live-kind")
            question = gr.Textbox(
                label="Your question", value="What is this?", max_lines=2, visible=False, elem_id="live-question"
            )
            gr.Radio(FACING, value="environment", label="Camera", interactive=True, elem_id="live-facing")
            with gr.Row(elem_classes="row-of-buttons"):
                gr.Button("Start the camera", variant="primary", elem_classes="run-button", elem_id="live-run")
                gr.Button("Stop", variant="stop", elem_classes="stop-button", elem_id="live-stop")
    kind.input(lambda kind: gr.update(visible=kind == "vqa"), kind, question, queue=False, **QUICK)
    # Not `page.on`: the status line need not look again after every frame.
    look = LiveTab(page, camera, line).look
    camera.input(look, [kind, question], [line, camera], trigger_mode="multiple", **MODEL_CALL)

    async def stop(request: gr.Request) -> None:
        page.sessions.stop(request.session_hash or "", "live")

    camera.clear(stop, queue=False, **QUICK)
