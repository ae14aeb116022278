"""What the tests of the served page share."""

import socket
from pathlib import Path

import httpx

from vlm_demo.scenes import make_scene

SCENE = make_scene(11)
ENDPOINTS = {"/caption", "/detect", "/answer", "/compare", "/auto", "/route"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def upload(url: str, picture: Path) -> str:
    return httpx.post(f"{url}gradio_api/upload", files={"files": picture.read_bytes()}).json()[0]
