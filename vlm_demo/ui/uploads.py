"""What happens to an upload before anybody learns its address: nothing stays in it but the picture."""

from __future__ import annotations

import json
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vlm_demo import images

UPLOAD = "/gradio_api/upload"


class CleanUploads:
    """Middleware around gradio's upload route: cleans each file that it has just written, then gives its address.

    gradio offers no place between the two: its route answers with a JSON list of paths as soon as they are written.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

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
                cleaned = [await run_in_threadpool(images.clean, Path(path)) for path in json.loads(answer)]
                answer = json.dumps([str(path) for path in cleaned]).encode()
                others = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
                start["headers"] = [*others, (b"content-length", str(len(answer)).encode())]
            await send(start)
            await send({"type": "http.response.body", "body": answer})

        await self.app(scope, receive, hold)
