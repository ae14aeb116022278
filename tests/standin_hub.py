"""A small Hub of models in folders, as huggingface_hub asks it: what a model is made of, and its files."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 4096


class StandInHub:
    """Serves `models` (folders by name); those in `gated` to nobody. `pause`: seconds behind every 4096 bytes."""

    def __init__(self, models: dict[str, Path]) -> None:
        self.models = models
        self.gated: set[str] = set()
        self.pause = 0.0
        hub = self

        class Handler(_Handler):
            server_state = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: StandInHub

    def log_message(self, *args) -> None:
        """Be quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server_state, self.path.partition("?")[0].strip("/")
        name = "/".join(path.removeprefix("api/models/").split("/")[:2])
        if name not in hub.models:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif name in hub.gated and not path.endswith(name):
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif "/tree/" in path or ("/resolve/" in path and not (hub.models[name] / Path(path).name).exists()):
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})  # there are no folders, and not all files
        elif path.startswith("api/"):
            self._send(200, json.dumps(self._info(name)).encode())
        else:
            content = (hub.models[name] / path.rpartition("/")[2]).read_bytes()
            etag = hashlib.sha1(content).hexdigest()
            self._send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION}, hub.pause)

    def _info(self, name: str) -> dict:
        hub = self.server_state
        files = [{"rfilename": file.name, "size": file.stat().st_size} for file in hub.models[name].iterdir()]
        more = [{"rfilename": "onnx/model.json", "size": 10**12}, {"rfilename": "picture.png", "size": 10**12}]
        gated = "manual" if name in hub.gated else False
        return {"id": name, "sha": REVISION, "gated": gated, "siblings": files + more}

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None, pause: float = 0.0) -> None:
        self.send_response(status)
        for header, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(header, value)
        self.end_headers()
        try:
            for start in range(0, len(content) if self.command == "GET" else 0, CHUNK):
                self.wfile.write(content[start : start + CHUNK])
                time.sleep(pause)
        except OSError:  # who has cancelled reads on no more
            self.close_connection = True
