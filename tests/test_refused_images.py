"""What is no image, too large, or damaged gives a message for people."""

import base64
import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.quadrants import assert_quadrants, encode, png_of_size, quadrants
from vlm_demo import images
from vlm_demo.images import ImageError, decode, load

HARD = Path(__file__).parents[1].parent / "shared" / "data" / "images_hard"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf  <?xml version='1.0'?><svg/>", "SVG"),
        (b"\n<!DOCTYPE html><html></html>", "web page"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "image"),
        (encode(Image.new("RGB", (8, 8)), "PPM"), "not an image"),
        (encode(Image.new("RGB", (8, 8)), "ICO"), "not an image"),
        ("http://example.org/cat.png", "download"),
        ("https://example.org/cat.png", "download"),
        ("file:///etc/passwd", "download"),
        (Path("https://example.org/cat.png"), "download"),
        ("/no/such/picture.png", "no image file"),
        ("/dev/zero", "no image file"),
        ("/", "no image file"),
        ("", "no image file"),
        ("a\0b", "image"),
        ("x" * 100_000, "image file"),
        ("data:image/png;base64,", "empty"),
        ("data:image/png;base64,@@@@", "base64"),
        ("data:image/png;base64,iVBORw0KGgo", "image"),
        ("data:text/plain,hello", "base64"),
        ("data:", "base64"),
        (io.StringIO("text"), "binary"),
        (None, "NoneType"),
        (42, "int"),
        (Image.new("RGB", (0, 8)), "zero pixels"),
        (np.zeros((0, 8, 3), np.uint8), "zero pixels"),
        (np.zeros((2, 2, 2, 2), np.uint8), "array"),
        (np.zeros((2, 2, 7), np.uint8), "array"),
        (np.array([["a"]]), "array"),
        (np.zeros((2, 2), complex), "array"),
        (png_of_size(60_000, 60_000), "million pixels"),
        (png_of_size(10_000, 10_000), "million pixels"),
        (png_of_size(0, 10), "image"),
        (png_of_size(500, 500), "damaged"),
        (encode(quadrants(), "JPEG")[:-200], "damaged"),
        (encode(quadrants(600, 600), "BMP")[:-500], "damaged"),
        (encode(quadrants(), "GIF")[:60], "image"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) and value.isprintable() else type(value).__name__,
)
def test_what_is_not_an_image_gives_a_message_for_people(source, words):
    with pytest.raises(ImageError, match=words):
        decode(source)


def test_too_many_bytes_are_refused_from_every_source(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 3 * 1024 * 1024)
    data = encode(quadrants(), "PNG") + b"\0" * images.MAX_BYTES  # decoders ignore what follows the picture
    path = tmp_path / "big.png"
    path.write_bytes(data)
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    for source in (path, str(path), data, io.BytesIO(data), url):
        with pytest.raises(ImageError, match="larger than 3 MB"):
            decode(source)
    assert_quadrants(decode(data[: images.MAX_BYTES]))


def test_a_huge_data_url_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(images.base64, "b64decode", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="larger than 20 MB"):
        decode("data:image/png;base64," + "A" * (28 * 1024 * 1024))


def test_a_file_object_is_not_read_beyond_the_limit():
    class Endless(io.RawIOBase):
        def read(self, size=-1):
            assert 0 < size <= images.MAX_BYTES + 1
            return b"\0" * size

    with pytest.raises(ImageError, match="larger than"):
        decode(Endless())


def test_size_is_judged_before_the_pixels_are_decoded(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="million pixels"):
        decode(png_of_size(9000, 9000))


def test_random_damage_never_raises_anything_else():
    rng = random.Random(7)
    originals = [encode(quadrants(), format) for format in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")]
    outcomes = {"picture": 0, "message": 0}
    for _ in range(400):
        data = bytearray(rng.choice(originals))
        for _ in range(rng.choice((1, 3, 20))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        try:
            image = decode(bytes(data))
            assert image.mode == "RGB" and max(image.size) <= images.MAX_SIDE
            outcomes["picture"] += 1
        except ImageError as error:
            assert str(error).endswith(".") and len(str(error)) < 200
            outcomes["message"] += 1
    assert min(outcomes.values()) > 50, outcomes


READABLE_HARD = {  # name -> size
    "16_bit_noise.tif": (32, 32),
    "chi.gif": (320, 240),
    "exif_Landscape_3.jpg": (1800, 1200),
    "exif_Landscape_6.jpg": (1800, 1200),
    "exif_Landscape_8.jpg": (1800, 1200),
    "exif_Portrait_1.jpg": (1200, 1800),
    "exif_Portrait_5.jpg": (1200, 1800),
    "exif_Portrait_7.jpg": (1200, 1800),
    "exif_imagemagick_orientation.png": (512, 512),
    "iss634.apng": (245, 245),
    "itxt_chunks.png": (2048, 1707),
    "pil_sample_cmyk.jpg": (100, 100),
    "transparent.webp": (200, 150),
}
REFUSED_HARD = {  # name -> words of the message
    "broken.png": "not an image",
    "decompression_bomb.gif": "million pixels",
    "png_decompression_dos.png": "damaged",
    "truncated_image.png": "damaged|cut off",
    "truncated_jpeg.jpg": "damaged|cut off",
    "zero_width.gif": "not an image",
}
needs_data = pytest.mark.skipif(not HARD.is_dir(), reason="the hard pictures are not beside this checkout")


@needs_data
@pytest.mark.parametrize(("name", "size"), READABLE_HARD.items())
def test_hard_images_that_are_images(name, size):
    image = decode(HARD / name)
    assert image.size == size and image.mode == "RGB"
    values = np.asarray(image)
    assert values.std() > 5 and 10 < values.mean() < 250  # neither black, white nor flat


@needs_data
@pytest.mark.parametrize(("name", "words"), REFUSED_HARD.items())
def test_hard_images_that_are_refused(name, words):
    with pytest.raises(ImageError, match=words):
        decode(HARD / name)


@needs_data
def test_every_hard_image_is_expected():
    assert {path.name for path in HARD.iterdir()} == READABLE_HARD.keys() | REFUSED_HARD.keys()


@needs_data
def test_turned_photographs_look_alike_once_upright():
    small = [np.asarray(decode(HARD / f"exif_Landscape_{i}.jpg").resize((30, 20))).astype(float) for i in (3, 6, 8)]
    for other in small[1:]:
        assert abs(small[0] - other).mean() < 12


def test_a_damaged_image_gives_its_turn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "decoding", images.Turns(1, 10_000))
    for _ in range(3):
        with pytest.raises(ImageError, match="damaged"):
            load(encode(quadrants(), "PNG")[:-60])
    assert_quadrants(load(quadrants()).rgb)
