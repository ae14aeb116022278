"""Answers of gradio's routes, changed on their way out: gradio offers no other place for that."""

from __future__ import annotations

from abc import ABC, abstractmethod

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Rewriting(ABC):
    """Middleware that holds back the whole answer of one route and sends another one in its place."""

    method: str
    path: str  # how the route's path ends

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    @abstractmethod
    async def rewrite(self, scope: Scope, answer: bytes) -> bytes:
        """What is sent instead of the route's successful answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != self.method or not scope["path"].endswith(self.path):
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
                answer = await self.rewrite(scope, answer)
                others = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
                start["headers"] = [*others, (b"content-length", str(len(answer)).encode())]
            await send(start)
            await send({"type": "http.response.body", "body": answer})

        await self.app(scope, receive, hold)
