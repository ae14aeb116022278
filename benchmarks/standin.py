"""An engine that writes nothing of its own, at the pace of a real one, for benchmarks.visitors.

Speaks what OpenAI-compatible servers speak, with probabilities, as vLLM does. Its pace is a table of measured rates:
how many tokens a second all answers together get when so many are being written, and how long the first token takes.
`GET /timings` returns how many answers it wrote and how long they took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

WORD = " word"


@dataclass(frozen=True)
class Pace:
    """How fast an engine writes: `first` seconds to the first token, `rates` as (answers at once, tokens a second of
    all of them) in rising order; `engines` of them are behind one address."""

    first: float
    rates: tuple[tuple[int, float], ...]
    engines: int = 1

    def token_seconds(self, running: int) -> float:
        """Seconds until an answer's next token while so many are being written; between measured points in line."""
        running = max(1, -(-running // self.engines))
        below = max((rate for rate in self.rates if rate[0] <= running), default=self.rates[0])
        above = min((rate for rate in self.rates if rate[0] >= running), default=self.rates[-1])
        fraction = (running - below[0]) / (above[0] - below[0]) if above[0] > below[0] else 0.0
        return running / (below[1] + fraction * (above[1] - below[1]))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Pace:
        fields = json.loads(text)
        return cls(fields["first"], tuple((int(n), float(rate)) for n, rate in fields["rates"]), fields["engines"])


class StandIn:
    """The server's state: who is being written for, and what has been written."""

    def __init__(self, pace: Pace, tokens: int) -> None:
        """Every answer has `tokens` tokens."""
        self.pace, self.tokens = pace, tokens
        self.running = 0
        self.seconds: list[float] = []  # of each answer that was written to its end

    def app(self) -> Starlette:
        routes = [
            Route("/v1/models", self.models),
            Route("/v1/chat/completions", self.complete, methods=["POST"]),
            Route("/timings", self.timings),
        ]
        return Starlette(routes=routes)

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "stand-in", "object": "model"}]})

    async def timings(self, request: Request) -> Response:
        """What was written since this was asked last."""
        seconds, self.seconds = self.seconds, []
        return JSONResponse({"seconds": seconds})

    async def complete(self, request: Request) -> Response:
        await request.body()  # the images are received, and not looked at
        return StreamingResponse(self.write(), media_type="text/event-stream")

    async def write(self) -> AsyncIterator[bytes]:
        """The pieces of one answer, each when its token is due."""
        self.running += 1
        began = due = time.perf_counter()
        due += self.pace.first
        try:
            for number in range(self.tokens):
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                yield TOKEN_EVENT
                due += self.pace.token_seconds(self.running) if number + 1 < self.tokens else 0.0
            self.seconds.append(due - began)  # what it would take an engine that is never late itself
            usage = {"prompt_tokens": 99, "completion_tokens": self.tokens, "total_tokens": 99 + self.tokens}
            yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            yield _event({"choices": [], "usage": usage})
            yield b"data: [DONE]\n\n"
        finally:
            self.running -= 1


def _event(chunk: dict) -> bytes:
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "stand-in"}
    return f"data: {json.dumps(head | chunk)}\n\n".encode()


def _token() -> bytes:
    """One token with its five likeliest alternatives."""
    top = [
        {"token": f" other{number}" if number else WORD, "logprob": -1.0 - number, "bytes": None} for number in range(5)
    ]
    content = [{"token": WORD, "logprob": -1.0, "bytes": None, "top_logprobs": top}]
    delta = {"role": "assistant", "content": WORD}
    return _event({"choices": [{"index": 0, "delta": delta, "finish_reason": None, "logprobs": {"content": content}}]})


TOKEN_EVENT = _token()


def main() -> None:
    """Serve until the process is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pace", type=Pace.from_json, required=True, help="as JSON")
    parser.add_argument("--tokens", type=int, default=24, help="of every answer")
    args = parser.parse_args()
    app = StandIn(args.pace, args.tokens).app()
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="error", access_log=False)


if __name__ == "__main__":
    main()
