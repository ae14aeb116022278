"""What the page uses of gradio that gradio promises to nobody, all of it; as it is in the version below.

`tests/test_private.py` says what has changed when another one is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
from collections.abc import Awaitable, Callable
from copy import copy
from functools import lru_cache, wraps
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported: nothing is reported to anyone
# Nobody sees gradio's statistics of its queue; made anew after each event, they cost more than the event.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
# Before each event gradio asks matplotlib, which supervision brings, for its backend. Unless that is named here, it
# imports all of itself to find one, a second for which the first visitor and everybody else waits.
os.environ.setdefault("MPLBACKEND", "agg")

_getfile = inspect.getfile


def _getfile_without_stubs(thing: Any) -> str:
    """`inspect.getfile`, but not for gradio when it asks where to write type stubs: it parses the source of each of its
    components for them whenever it is imported, which takes half a second."""
    if sys._getframe(1).f_code.co_name == "create_or_modify_pyi":
        raise OSError("no file")
    return _getfile(thing)


with patch("inspect.getfile", _getfile_without_stubs):
    import gradio as gr
    from gradio import blocks, component_meta, queueing
    from gradio.components.annotated_image import AnnotatedImageData, Annotation
    from gradio.data_classes import FileData, ImageData, ListFiles
    from gradio.processing_utils import save_bytes_to_cache, save_pil_to_cache
    from gradio.route_utils import get_root_url
    from gradio.routes import App
    from gradio.utils import get_upload_folder
    from gradio_client.utils import is_http_url_like

VERSION = "6.31"
LOOK = 0.5  # seconds after which gradio's queue looks for events though none has told of itself
NEVER = 3600.0
OFTEN = ("/queue/join", "/queue/data", "/upload", "/heartbeat/{session_hash}")  # routes that every press asks for
UPLOAD = "/gradio_api/upload"  # the route whose answer is a JSON list of the paths that it has written
INFO = "/gradio_api/info"  # the route that describes the endpoints, each with `parameters` and `code_snippets`
FILE_TYPE = "gradio.FileData"  # by which clients mark a file that they have uploaded

# Methods that our classes override, with the parameters that ours rely on, and who does so.
OVERRIDDEN: tuple[tuple[Any, str, tuple[str, ...], str], ...] = (
    (gr.Blocks, "process_api", ("block_fn", "inputs", "session_hash", "iterator"), "privacy.ForgetfulBlocks"),
    (gr.Blocks, "postprocess_data", ("block_fn", "predictions", "state"), "gradio_private.QuickBlocks"),
    (gr.Image, "async_move_resource_to_block_cache", ("url_or_file_path",), "image_components.UploadedImage"),
    (gr.File, "async_move_resource_to_block_cache", ("url_or_file_path",), "image_components.UploadedImages"),
    (gr.Image, "preprocess", ("payload",), "image_components.UploadedImage"),
    (gr.File, "preprocess", ("payload",), "image_components.UploadedImages"),
    (gr.Image, "example_payload", (), "image_components.UploadedImage"),
    (gr.File, "example_payload", (), "image_components.UploadedImages"),
    (gr.AnnotatedImage, "postprocess", ("value",), "hover.HoverImage"),
)

# While a page is built, gradio makes the web server for it three times, each as slow as the rest of the page; the one
# that serves it comes from `launch`.
without_server = patch.object(App, "create_app", lambda *arguments, **options: None)

_create_app = App.create_app


def _create_quick_app(page: gr.Blocks, *arguments: Any, **options: Any) -> App:
    """gradio's web server, which finds the routes of every press first and not after eighty others, and asks no thread
    for each request whether a visitor has logged in, unless that is wanted."""
    app = _create_app(page, *arguments, **options)
    parts = [route for route in app.router.routes if hasattr(route, "original_router")]
    for router in (part.original_router for part in parts):
        if app.auth is None and app.auth_dependency is None:
            for route in router.routes:
                route.dependencies = [one for one in route.dependencies if one.dependency.__name__ != "login_check"]
        router.routes.sort(key=lambda route: not route.path.endswith(OFTEN))
    app.router.routes.sort(key=lambda route: route not in parts)
    return app


App.create_app = staticmethod(_create_quick_app)


class QuickBlocks(gr.Blocks):
    """Blocks that work on the components for which there is news, and on no others: with each update of a listener
    gradio makes all of its outputs anew, and describes each of them twice."""

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """What a listener yielded, as it is sent: a value or an update for each of its outputs."""
        news = predictions if isinstance(predictions, dict) else {}
        if not news or not all(isinstance(component, blocks.Block) for component in news):
            return await super().postprocess_data(block_fn, predictions, state)
        ids = {component._id for component in news}
        part = copy(block_fn)
        part.outputs = [component for component in block_fn.outputs if component._id in ids]
        if len({component._id for component in part.outputs}) < len(ids):  # gradio says what is wrong
            return await super().postprocess_data(block_fn, predictions, state)
        values = iter(await super().postprocess_data(part, news, state))
        return [next(values) if component._id in ids else gr.skip() for component in block_fn.outputs]


class _Inspect:
    """inspect as gradio's components shall see it: they ask for the signatures of their own constructors at each
    update, which takes longer than all else about it."""

    signature = staticmethod(lru_cache(1024)(inspect.signature))
    getfullargspec = staticmethod(lru_cache(1024)(inspect.getfullargspec))

    def __getattr__(self, name: str) -> Any:
        return getattr(inspect, name)


blocks.inspect = component_meta.inspect = _Inspect()


class _Alarm:
    """asyncio as gradio's queue shall see it: its sleep between two looks ends when there is something to see."""

    def __init__(self) -> None:
        self._events: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Event] = WeakKeyDictionary()

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        if seconds != LOOK:
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()

    def ring_after(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """A method of the queue behind which there is something to see."""

        @wraps(method)
        async def call(*arguments: Any, **options: Any) -> Any:
            try:
                return await method(*arguments, **options)
            finally:
                self._event.set()

        return call

    @property
    def _event(self) -> asyncio.Event:
        return self._events.setdefault(asyncio.get_running_loop(), asyncio.Event())


queueing.asyncio = _Alarm()
queueing.Queue.push = queueing.asyncio.ring_after(queueing.Queue.push)
queueing.Queue.process_events = queueing.asyncio.ring_after(queueing.Queue.process_events)


def rest(demo: gr.Blocks) -> None:
    """Let the queue of a page look when an event has come or ended. gradio looks a thousand times a second, which takes
    a tenth of a core from a page that nobody uses, and a hundred times for progress bars, which nobody has here."""
    demo._queue.sleep_when_free = LOOK
    demo._queue.progress_update_sleep_when_free = NEVER


def delete_state(blocks: gr.Blocks, session: str) -> None:
    """Let go of the values of gr.State of a session; gradio itself keeps them for an hour after a page was closed."""
    if blocks.app is not None:  # a page that was built and not started holds none
        blocks.app.state_holder.delete_state(session)


__all__ = [
    "FILE_TYPE",
    "INFO",
    "OVERRIDDEN",
    "UPLOAD",
    "VERSION",
    "QuickBlocks",
    "delete_state",
    "AnnotatedImageData",
    "Annotation",
    "FileData",
    "ImageData",
    "ListFiles",
    "get_root_url",
    "get_upload_folder",
    "gr",
    "is_http_url_like",
    "rest",
    "save_bytes_to_cache",
    "save_pil_to_cache",
    "without_server",
]
