"""Nothing is kept of a visitor but what the README says: a look into the folder where uploads and results lie."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import PATIENCE, serve
from tests.browser.steps import SCENE, finished, go, upload_scene
from tests.fake_engine import fake_engine
from tests.photo import photo
from vlm_demo.ui import privacy


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the page keeps files."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
    monkeypatch.setattr(privacy, "GRACE", 0.2)
    return tmp_path / "kept"


@pytest.fixture
def finder(folder: Path) -> Iterator[str]:
    engine = fake_engine(SCENE.detections_json())
    with serve(engine) as address:
        yield address


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def test_an_upload_has_no_secrets_and_goes_with_its_visitor(
    finder: str, folder: Path, visit: Callable, tmp_path: Path
) -> None:
    staying, leaving = visit(finder), visit(finder)
    photo(tmp_path / "mine.jpg", orientation=6)
    for page in (staying, leaving):
        go(page, "Detect")
        upload_scene(page)
    leaving.get_by_role("button", name="Remove Image").locator("visible=true").click()
    leaving.locator("#image-1 input[type=file]").set_input_files(tmp_path / "mine.jpg")
    leaving.locator("#image-1 img").wait_for()
    for page in (staying, leaving):
        page.locator("#detect-run").click()
        finished(page, "detect")
    assert [path for path in files(folder) if path.name == "mine.jpg"]
    assert not [path for path in files(folder) if b"SECRET" in path.read_bytes()]
    leaving.close()
    until(lambda: not [path for path in files(folder) if "mine" in path.name])
    # What both have seen is still there for the one who stays.
    page = staying
    page.evaluate("document.querySelectorAll('#detect-line p').forEach(p => (p.dataset.old = true))")
    page.locator("#detect-run").click()
    finished(page, "detect")
    with page.expect_download() as download:
        page.locator("#detect-all").click()
    assert download.value.path().stat().st_size
    staying.close()
    until(lambda: not files(folder))
