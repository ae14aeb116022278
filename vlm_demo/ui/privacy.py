"""What is kept of a visitor's images: nothing but the image itself, and nothing for long after they have left."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Scope

from vlm_demo import uploads

from .gradio_private import UPLOAD, QuickBlocks, delete_state, get_upload_folder
from .middleware import Rewriting

MOST = 10_000  # sessions whose files are known; calls over plain HTTP are a session each, and never take leave
GRACE = 600.0  # seconds after a page was heard of last; a reload, a lost connection and sleep come back before


class CleanUploads(Rewriting):
    """Cleans each file that gradio's upload route has just written, then gives its address.

    The route answers with a JSON list of paths as soon as they are written.
    """

    method, path = "POST", UPLOAD

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self._turn = asyncio.Semaphore(2)  # a large image takes 200 MB while it is cleaned

    async def rewrite(self, scope: Scope, answer: bytes) -> bytes:
        async with self._turn:
            cleaned = [await run_in_threadpool(uploads.clean, Path(path)) for path in json.loads(answer)]
        return json.dumps([str(path) for path in cleaned]).encode()


class ForgetfulBlocks(QuickBlocks):
    """Blocks that know which files each session has sent and been shown, and delete them after it has ended.

    Files are named by their content, so one may belong to several sessions; it goes with the last of them.
    """

    def __init__(self, forget: Callable[[str], None], **options: Any) -> None:
        """`forget(session)` is called once a session has ended for good."""
        super().__init__(**options)
        self._end = forget
        self._folder = get_upload_folder() + os.sep
        self._files: dict[str, set[str]] = {}  # by session, the one that was heard of longest ago first
        self._left: dict[str, asyncio.TimerHandle] = {}  # sessions whose page was closed
        self.unload(self._leave)

    async def process_api(
        self, block_fn: Any, inputs: list[Any], *args: Any, session_hash: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """What gradio calls for every event and each of its parts: note the files in it."""
        leaving = any(event == "unload" for _, event in block_fn.targets)
        if session_hash in self._left and options.get("iterator") is None and not leaving:
            self._await(session_hash)  # the page is there, though the connection by which it takes leave was lost
        output = await super().process_api(block_fn, inputs, *args, session_hash=session_hash, **options)
        named = set(self._named((inputs, output["data"])))
        if session_hash is not None and named:
            self._files[session_hash] = self._files.pop(session_hash, set()) | named
            if len(self._files) > MOST:
                self._forget(next(iter(self._files)))
        return output

    def _named(self, data: Any) -> Iterator[str]:
        """The paths of cached files anywhere in `data`."""
        if isinstance(data, str):
            if data.startswith(self._folder):
                yield data
        elif isinstance(data, dict | list | tuple):
            for item in data.values() if isinstance(data, dict) else data:
                yield from self._named(item)

    async def _leave(self, request: gr.Request) -> None:
        self._await(request.session_hash or "")

    def _await(self, session: str) -> None:
        """Forget a session unless it is heard of before the time is out."""
        if session in self._left:
            self._left.pop(session).cancel()
        self._left[session] = asyncio.get_running_loop().call_later(GRACE, self._forget, session)

    def _forget(self, session: str) -> None:
        self._left.pop(session, None)
        self._end(session)
        delete_state(self, session)
        mine = self._files.pop(session, set())
        own = self._named(self.config)  # what the page opens with, which is everybody's
        for path in map(Path, mine.difference(own, *self._files.values())):
            path.unlink(missing_ok=True)
            if path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()
