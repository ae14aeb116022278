"""The process of the page: what it keeps, whom it talks to, and what is its owner's alone."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
from gradio_client import Client, handle_file

from tests.served_page import free_port
from vlm_demo.ui import Owner, build_app, launch_options


def test_nothing_is_watched_published_or_kept(url: str) -> None:
    config = httpx.get(f"{url}config").json()
    assert config["analytics_enabled"] is False
    assert not config.get("run_history")
    assert httpx.get(f"{url}monitoring").status_code in (403, 404)
    page = httpx.get(url).text
    assert "fonts.googleapis" not in page


def test_the_page_is_up_before_torch_is_imported() -> None:
    code = "import sys, vlm_demo.ui; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    root = Path(__file__).parents[2]
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert finished.stdout.strip() == "[]"


WATCHED = """
import runpy, sys
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = args[1] if event == "socket.connect" else args[0]
        print("DIALS", address[0] if isinstance(address, tuple) else address, flush=True)
sys.addaudithook(watch)
sys.argv = ["app.py", "--port", sys.argv[1]]
runpy.run_path("app.py", run_name="__main__")
"""


def test_the_server_talks_to_nobody_but_itself_and_ends_when_told(picture: Path) -> None:
    port = free_port()
    command = [sys.executable, "-u", "-c", WATCHED, str(port)]
    online = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "GRADIO_"))}
    server = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=online
    )
    try:
        deadline = time.monotonic() + 200
        while True:
            try:
                client = Client(f"http://127.0.0.1:{port}/", verbose=False, analytics_enabled=False)
                break
            except (httpx.HTTPError, ValueError):
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.5)
        assert client.predict(handle_file(picture), style="brief", api_name="/caption")["text"]
        server.terminate()
        output, _ = server.communicate(timeout=60)
    finally:
        server.kill()
    dialled = {line.split()[1] for line in output.splitlines() if line.startswith("DIALS")}
    assert dialled and dialled <= {"127.0.0.1", "localhost", "::1", "None", "0.0.0.0"}, output


def press(url: str, elem_id: str, session: str, key: str | None = None, address: str = "192.168.1.7") -> dict:
    """Press a button of the page as the browser of somebody at another address does; gives the last event."""
    config = httpx.get(f"{url}config", timeout=60).json()
    button = next(one["id"] for one in config["components"] if one["props"].get("elem_id") == elem_id)
    listener = next(one["id"] for one in config["dependencies"] if [button, "click"] in map(list, one["targets"]))
    asked = {"fn_index": listener, "data": [], "session_hash": session}
    httpx.post(
        f"{url}gradio_api/queue/join",
        json=asked,
        params={"owner": key} if key else {},
        headers={"X-Forwarded-For": address},  # the server believes what a proxy on its own machine says
        timeout=60,
    ).raise_for_status()
    with httpx.stream("GET", f"{url}gradio_api/queue/data", params={"session_hash": session}, timeout=60) as events:
        return next(json.loads(line[6:]) for line in events.iter_lines() if '"process_completed"' in line)


def test_only_the_owner_frees_the_memory(engine) -> None:
    demo = build_app(engine, owner=Owner("chalk"))
    _, address, _ = demo.launch(
        server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options()
    )
    engine.load()
    refused = press(address, "free-memory", "somebody")
    assert not refused["success"] and "owner=KEY" in refused["output"]["error"]
    assert engine.status().loaded
    assert press(address, "free-memory", "owner", key="chalk")["success"]
    assert not engine.status().loaded
    demo.close()
