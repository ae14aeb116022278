"""What the page tells of how a model takes images in, on both bundled models."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import ExifTags, Image

from vlm_demo.engine import ICONS, PHOTOGRAPHS, Engine
from vlm_demo.images import load
from vlm_demo.ui import sight


@pytest.fixture
def sideways(tmp_path: Path) -> str:
    """A photograph as phones store it: 300 by 400, turned by its EXIF."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (400, 300), "teal").save(tmp_path / "phone.jpg", exif=exif)
    return str(tmp_path / "phone.jpg")


@pytest.mark.parametrize(
    ("model", "facts"),
    [
        (PHOTOGRAPHS, ["300 × 400", "300 × 300", "7 × 7 and 20 regions", "69"]),
        (ICONS, ["300 × 400", "128 × 128", "8 × 8", "64"]),
    ],
    ids=["photographs", "icons"],
)
def test_sizes_patches_and_tokens_are_those_of_the_model(model: Path, facts: list[str], sideways: str) -> None:
    page = SimpleNamespace(engine=Engine(model))
    shown = sight.table(page, page.engine.model, [sideways])
    for text in facts:
        assert f"<td>{text}</td>" in shown
    # What is told is what the model really reads.
    prompt = page.engine.runner.prepare(
        [{"role": "user", "task": "caption", "text": "brief"}], [load(Image.new("RGB", (9, 9)))], 9
    )
    assert prompt.ids.count(page.engine.runner.processor.image_token_id) == int(facts[-1])
    page.engine.close()


def test_where_it_is_not_known_the_page_says_so(sideways: str) -> None:
    page = SimpleNamespace(engine=SimpleNamespace(image_input=lambda model: None))
    assert "not known" in sight.table(page, "far", [sideways])
    assert "no image" in sight.table(page, "far", [])
