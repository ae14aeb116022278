"""Images that come in over HTTP: what is taken, and what is refused in words."""

import io
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file

from tests.served_page import SCENE
from vlm_demo.engine import Engine
from vlm_demo.images import ImageError
from vlm_demo.ui import build_app
from vlm_demo.ui.tabs import live


def call(url: str, name: str, data: list) -> str:
    """The raw stream of events of a call, as a program without gradio_client would make it."""
    joined = httpx.post(f"{url}gradio_api/call/{name}", json={"data": data})
    if joined.status_code != 200:
        return joined.text
    return httpx.get(f"{url}gradio_api/call/{name}/{joined.json()['event_id']}", timeout=120).text


def test_the_image_that_the_page_opens_with_outlives_every_visitor(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    demo = build_app(Engine())  # photographs first: one of them is there when the page opens
    [first] = [path for path in tmp_path.rglob("*") if path.is_file()]
    upload = tmp_path / "upload" / "mine.png"
    upload.parent.mkdir()
    upload.write_bytes(b"mine")
    demo._files["visitor"] = {str(first), str(upload)}
    demo._forget("visitor")
    assert first.exists() and not upload.exists()


def test_a_frame_of_the_camera_is_no_path(picture: Path) -> None:
    for sent in (str(picture), f"file://{picture}", "http://127.0.0.1/a.png", None):
        with pytest.raises(ImageError, match="data: URL"):
            live.read_frame(sent)


def test_the_server_opens_neither_web_addresses_nor_its_own_files(url: str, picture: Path) -> None:
    meta = {"_type": "gradio.FileData"}
    remote = call(url, "caption", [{"path": "http://example.com/cat.png", "meta": meta}, "brief", 0, 1, 0, -1, [], ""])
    assert "Web addresses are not opened" in remote
    local = call(url, "caption", [{"path": str(picture), "meta": meta}, "brief", 0, 1, 0, -1, [], ""])
    assert "event: error" in local and SCENE.caption() not in local


@pytest.mark.parametrize("several", [False, True])
def test_a_path_is_no_upload(url: str, picture: Path, several: bool) -> None:
    """A path alone, without the mark that gradio checks, must not open a file of the server."""
    name, rest = (
        ("answer", ["How many?", [], 0, 1, 0, -1, [], ""]) if several else ("caption", ["brief", 0, 1, 0, -1, [], ""])
    )
    file = {"path": str(picture)}
    snippet = call(url, name, [[file] if several else file, *rest])
    assert "handle_file" in snippet and SCENE.caption() not in snippet


def test_one_file_is_as_good_as_a_list_of_one(client: Client, picture: Path) -> None:
    qa = SCENE.questions()[0]
    assert client.predict(handle_file(picture), qa.question, api_name="/answer")["text"] == qa.answer
    assert client.predict([handle_file(picture)], api_name="/caption")["text"] == SCENE.caption()


@pytest.mark.parametrize("sent", ["cat.png", 7, ["cat.png"], [[]]])
def test_what_is_no_file_is_refused_in_words(url: str, sent: object) -> None:
    assert "uploaded and sent with handle_file" in call(url, "answer", [sent, "How many?", [], 0, 1, 0, -1, [], ""])
    assert "uploaded and sent with handle_file" in call(url, "caption", [sent, "brief", 0, 1, 0, -1, [], ""])


def test_data_urls_are_read_within_bounds(url: str) -> None:
    from base64 import b64encode

    buffer = io.BytesIO()
    SCENE.image(64).save(buffer, "PNG")
    small = {"url": "data:image/png;base64," + b64encode(buffer.getvalue()).decode()}
    assert SCENE.caption() in call(url, "caption", [small, "brief", 0, 1, 0, -1, [], ""])
    large = {"url": "data:image/png;base64," + "A" * 30_000_000}
    assert "larger than 20 MB" in call(url, "caption", [large, "brief", 0, 1, 0, -1, [], ""])
