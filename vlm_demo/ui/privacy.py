"""What is kept of a visitor's images: nothing but the picture, and nothing for long after they have left."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vlm_demo import uploads

from .gradio_private import UPLOAD, get_upload_folder

MOST = 10_000  # sessions whose files are known; calls over plain HTTP are a session each, and never take leave
GRACE = 600.0  # seconds after a page was closed; a phone that slept or a lost connection comes back before


class CleanUploads:
    """Middleware around gradio's upload route: cleans each file that it has just written, then gives its address.

    gradio offers no place between the two: its route answers with a JSON list of paths as soon as they are written.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._turn = asyncio.Semaphore(2)  # a large picture takes 200 MB while it is cleaned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith(UPLOAD):
            await self.app(scope, receive, send)
            return
        start: Message = {}
        answer = b""

        async def hold(message: Message) -> None:
            nonlocal start, answer
            if message["type"] == "http.response.start":
                start = message
                return
            answer += message.get("body", b"")
            if message.get("more_body"):
                return
            if start["status"] == 200:
                async with self._turn:
                    cleaned = [await run_in_threadpool(uploads.clean, Path(path)) for path in json.loads(answer)]
                answer = json.dumps([str(path) for path in cleaned]).encode()
                others = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
                start["headers"] = [*others, (b"content-length", str(len(answer)).encode())]
            await send(start)
            await send({"type": "http.response.body", "body": answer})

        await self.app(scope, receive, hold)


class ForgetfulBlocks(gr.Blocks):
    """Blocks that know which files each session has sent and been shown, and delete them after it has ended.

    Files are named by their content, so one may belong to several sessions; it goes with the last of them.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
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
            self._left.pop(session_hash).cancel()  # a new event: the visitor is back
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
        session = request.session_hash or ""
        self._left[session] = asyncio.get_running_loop().call_later(GRACE, self._forget, session)

    def _forget(self, session: str) -> None:
        self._left.pop(session, None)
        mine = self._files.pop(session, set())
        for path in map(Path, mine.difference(*self._files.values())):
            path.unlink(missing_ok=True)
            if path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()
