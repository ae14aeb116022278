"""Uploaded files lose what they say about their maker."""

from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from tests.photo import photo
from vlm_demo.images import ImageError, load
from vlm_demo.uploads import KEPT, clean


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.png", "a.webp", "a.tiff"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_cleaned_file_says_nothing_about_its_maker(tmp_path: Path, name: str, orientation: int) -> None:
    path = tmp_path / name
    before = photo(path, orientation=orientation)
    cleaned = clean(path)
    assert [cleaned] == list(tmp_path.iterdir())
    assert b"SECRET" not in cleaned.read_bytes()
    with Image.open(cleaned) as image:
        assert not image.getexif() and image.format in KEPT
        upright = before if orientation == 1 else before.transpose(Image.Transpose.ROTATE_270)
        assert load(cleaned).original_size == image.size == upright.size
        assert max(ImageStat.Stat(ImageChops.difference(image.convert("RGB"), upright)).mean) < 2


def test_a_file_without_secrets_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "plain.png"
    Image.new("RGB", (9, 7), "red").save(path)
    before = path.read_bytes()
    assert clean(path) == path and path.read_bytes() == before


def test_a_second_image_behind_the_first_is_cut_off(tmp_path: Path) -> None:
    path, second = tmp_path / "motion.jpg", tmp_path / "second.jpg"
    photo(path), photo(second)
    path.write_bytes(path.read_bytes() + second.read_bytes())
    assert b"SECRET" not in clean(path).read_bytes()
    assert load(path).size == (300, 200)


def test_of_an_unreadable_file_only_the_head_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 900 + b"SECRETPLACE")
    kept = clean(path)
    assert b"SECRET" not in kept.read_bytes()
    with pytest.raises(ImageError, match="HEIC"):
        load(kept)
