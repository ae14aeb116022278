"""A small OpenAI-compatible server that answers, and fails, as a test tells it to."""

import json
import threading
import time
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = ["two", " cats", " on", " a", " mat"]


class StandIn:
    """Each request takes the next behaviour of `plan`; when there is none left it answers properly.

    Behaviours: a number is a status with an error as OpenAI's; "hang up" before anything is sent; "die" after two
    pieces; "end" after two pieces without a reason; "stall" before, "stall later" after two pieces, until `go` is set;
    "no json", "no chunk" and "error" are pieces that are not what they should be; "no logprobs" refuses what it does
    not know, "no choices" to keep to given answers; "plain" tells no probabilities; "long" stops at the limit.
    """

    def __init__(self, *plan: str | int, port: int = 0) -> None:
        self.plan = deque(plan)
        self.bodies: list[dict] = []
        self.keys: list[str | None] = []
        self.go = threading.Event()
        self.left = threading.Event()  # somebody closed the connection before the end
        self.pause = 0.0  # seconds between two pieces
        self.retry_after: str | None = None
        self.echo = ""  # what an error says beside its number
        self.chunked = False  # whether errors come in chunks, without their length
        self.running = self.most = 0  # answers begun and not finished; the most at a time
        self.lock = threading.Lock()
        stand_in = self

        class Handler(_Handler):
            server_state = stand_in

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *args) -> None:
                """A client that left is part of the tests."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: StandIn

    def log_message(self, *args) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self.server_state.keys.append(self.headers.get("Authorization"))
        models = [{"id": name, "object": "model"} for name in ("small-vlm", "other")]
        self._send(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        state = self.server_state
        state.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        state.keys.append(self.headers.get("Authorization"))
        behaviour = state.plan.popleft() if state.plan else "answer"
        try:
            self._behave(behaviour)
        except OSError:
            state.left.set()
            self.close_connection = True

    def _behave(self, behaviour: str | int) -> None:
        state, body = self.server_state, state_body(self.server_state)
        if isinstance(behaviour, int):
            self._send(behaviour, {"error": {"message": f"code {behaviour} {state.echo}", "type": "made up"}})
            return
        if behaviour == "no logprobs" and "logprobs" in body:
            self._send(422, {"detail": "Unexpected fields in the request: {'logprobs', 'top_logprobs'}"})
            return
        if behaviour == "no choices":
            self._send(400, {"error": {"message": "guided_choice is not known here"}})
            return
        if behaviour == "hang up":
            self.close_connection = True
            return
        if behaviour == "stall":
            self._wait()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with state.lock:
            state.running += 1
            state.most = max(state.most, state.running)
        for number, text in enumerate(ANSWER):
            if number == 2:
                if behaviour == "die":
                    self.connection.close()
                    self.close_connection = True
                    return
                if behaviour == "end":
                    break
                if behaviour == "stall later":
                    self._wait()
                if behaviour in BROKEN:
                    self._piece(BROKEN[behaviour])
            self._piece(json.dumps(chunk(text, number, plain="logprobs" not in body or behaviour == "plain")))
            time.sleep(state.pause)
        else:
            with state.lock:  # before the end: whoever has that may ask again at once
                state.running -= 1
            reason = "length" if behaviour == "long" else "stop"
            self._piece(json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
            usage = {"prompt_tokens": 99, "completion_tokens": len(ANSWER) + 1, "total_tokens": 105}
            self._piece(json.dumps({"choices": [], "usage": usage}))
            self._piece("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _wait(self) -> None:
        """Until the test lets go, or the client has left."""
        self.connection.settimeout(0.01)
        while not self.server_state.go.is_set():
            with suppress(TimeoutError):
                if not self.connection.recv(1):
                    raise ConnectionError("the client has left")
        self.connection.settimeout(None)

    def _piece(self, data: str) -> None:
        piece = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def _send(self, status: int, payload: dict) -> None:
        content = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if self.server_state.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
        else:
            self.send_header("Content-Length", str(len(content)))
        if self.server_state.retry_after is not None:
            self.send_header("Retry-After", self.server_state.retry_after)
        self.end_headers()
        self.wfile.write(content)


BROKEN = {
    "no json": '{"choices": [{"delta": {"conte',
    "no chunk": '{"choices": 5}',
    "error": '{"error": {"message": "out of blocks", "code": 500}}',
}


def state_body(state: StandIn) -> dict:
    return state.bodies[-1]


def chunk(text: str, number: int, plain: bool) -> dict:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    if not plain:
        top = [{"token": text, "logprob": -0.1, "bytes": None}, {"token": " dogs", "logprob": -3.0, "bytes": None}]
        choice["logprobs"] = {"content": [{"token": text, "logprob": -0.1, "bytes": None, "top_logprobs": top}]}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "small-vlm", "choices": [choice]}
