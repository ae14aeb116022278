"""The door for pictures: everything that people send either becomes an upright RGB picture or a clear message."""

import base64
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.quadrants import RED, WHITE, assert_quadrants, encode, quadrants
from vlm_demo import images
from vlm_demo.images import decode, load


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("AVIF", {"quality": 95}),
        ("MPO", {"quality": 95}),
    ],
)
def test_every_usual_format_is_read(format, options):
    image = decode(encode(quadrants(), format, **options))
    assert image.size == (64, 48)
    assert_quadrants(image)


def test_every_kind_of_source_gives_the_same_image(tmp_path):
    data = encode(quadrants(), "PNG")
    path = tmp_path / "a picture.png"
    path.write_bytes(data)
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    wrapped = "DATA:image/png;charset=x;BASE64," + "\n".join(url.split(",")[1][i : i + 76] for i in range(0, 9999, 76))
    with path.open("rb") as file:
        sources = [path, str(path), data, bytearray(data), io.BytesIO(data), file, url, wrapped, url.rstrip("=")]
        sources += [quadrants(), Image.open(path), np.asarray(quadrants())]
        for source in sources:
            assert np.array_equal(np.asarray(decode(source)), np.asarray(quadrants())), type(source)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone(format, orientation):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # orientation -> transposition that stores it so
    inverse = {4: 2, 2: 4}
    image = quadrants()
    stored = image
    if orientation > 1:
        turn = undo[orientation]
        stored = image.transpose(Image.Transpose(inverse.get(turn, turn)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(format, {})
    loaded = decode(encode(stored, format, exif=exif, **options))
    assert loaded.size == image.size
    assert_quadrants(loaded)


def test_a_damaged_exif_block_costs_only_the_orientation():
    for exif in (
        b"Exif\0\0nonsense",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40,
    ):
        assert_quadrants(decode(encode(quadrants(), "JPEG", quality=95, subsampling=0, exif=exif)))


def test_a_large_turned_jpeg_is_downscaled_and_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = quadrants(3000, 6000).transpose(Image.Transpose.ROTATE_90)
    image = decode(encode(turned, "JPEG", exif=exif))
    assert image.size == (1024, 2048)
    assert_quadrants(image)


def test_colour_modes():
    assert_quadrants(decode(encode(quadrants().convert("CMYK"), "JPEG", quality=95)), tolerance=40)
    assert_quadrants(decode(encode(quadrants().convert("CMYK"), "TIFF")))
    assert_quadrants(decode(encode(quadrants().quantize(8), "PNG")))
    assert_quadrants(decode(quadrants().convert("HSV")), tolerance=4)
    assert decode(encode(Image.new("1", (8, 8), 1), "PNG")).getpixel((4, 4)) == WHITE
    assert decode(encode(Image.new("L", (8, 8), 77), "PNG")).getpixel((4, 4)) == (77, 77, 77)


def test_transparency_becomes_white():
    half = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    for image in (half, half.convert("RGBa")):
        assert decode(image).getpixel((4, 4)) == pytest.approx((255, 127, 127), abs=1)
    for format in ("PNG", "WEBP", "TIFF"):
        assert decode(encode(clear, format)).getpixel((4, 4)) == WHITE, format
    assert decode(encode(Image.new("LA", (8, 8), (0, 0)), "PNG")).getpixel((4, 4)) == WHITE
    palette = Image.new("P", (8, 8), 3)
    palette.putpalette([0, 0, 0] * 4)
    assert decode(encode(palette, "GIF", transparency=3)).getpixel((4, 4)) == WHITE
    assert decode(encode(palette, "PNG", transparency=3)).getpixel((4, 4)) == WHITE
    assert decode(encode(Image.new("RGB", (8, 8), RED), "PNG", transparency=RED)).getpixel((4, 4)) == WHITE


@pytest.mark.parametrize("top", [1023, 4095, 65535])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bits_are_scaled_and_not_clipped_to_white(format, top):
    ramp = np.linspace(0, top, 256).astype(np.uint16)[None].repeat(4, 0)
    image = np.asarray(decode(encode(Image.fromarray(ramp), format)))[0, :, 0].astype(int)
    assert abs(image - np.arange(256)).max() <= 1


def test_signed_and_floating_values_are_scaled():
    ramp = np.linspace(-40_000, 90_000, 256).astype(np.int32)[None].repeat(4, 0)
    image = np.asarray(decode(encode(Image.fromarray(ramp), "TIFF")))[0, :, 0].astype(int)
    assert abs(image - np.arange(256)).max() <= 1
    fractions = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(4, 0)
    for source in (fractions, encode(Image.fromarray(fractions), "TIFF")):
        assert abs(np.asarray(decode(source))[0, :, 0].astype(int) - np.arange(256)).max() <= 1
    broken = fractions.copy()
    broken[0, :3] = np.nan, np.inf, -np.inf
    assert decode(broken).getpixel((255, 2)) == WHITE
    assert decode(np.zeros((4, 4), np.float64)).getpixel((0, 0)) == (0, 0, 0)
    assert decode(np.ones((4, 4), bool)).getpixel((0, 0)) == WHITE


def test_the_first_frame_of_an_animation():
    frames = [quadrants(), Image.new("RGB", (64, 48), "black")]
    for format in ("GIF", "PNG", "WEBP", "TIFF"):
        extra = {"lossless": True} if format == "WEBP" else {}
        data = encode(frames[0], format, save_all=True, append_images=frames[1:], **extra)
        assert_quadrants(decode(data))


def test_large_images_are_downscaled_and_keep_their_shape():
    assert decode(quadrants(4096, 1024)).size == (2048, 512)
    assert decode(encode(Image.new("L", (9000, 30)), "PNG")).size == (2048, 7)
    assert decode(Image.new("RGB", (20_000, 1))).size == (2048, 1)
    assert decode(quadrants(2048, 2048)).size == (2048, 2048)


def test_the_result_belongs_to_the_caller():
    source = quadrants()
    source.info["exif"] = b"secret"
    loaded = decode(source)
    loaded.paste(WHITE, (0, 0, 64, 48))
    assert_quadrants(source)
    assert loaded.info == {} and source.info


def test_the_same_content_has_the_same_key_whatever_it_came_as(tmp_path: Path) -> None:
    data = encode(quadrants(), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    same = [load(source) for source in (data, tmp_path / "a.png", quadrants(), np.asarray(quadrants()))]
    assert len({image.key for image in same}) == 1
    others = [quadrants(48, 64), quadrants().transpose(Image.Transpose.FLIP_LEFT_RIGHT), Image.new("RGB", (1, 2))]
    assert len({load(image).key for image in [quadrants(), Image.new("RGB", (2, 1)), *others]}) == 5


def test_what_is_loaded_is_loaded_once_and_shares_nothing_with_its_source() -> None:
    source = quadrants()
    loaded = load(source)
    assert load(loaded) is loaded
    source.paste("black", (0, 0, 64, 48))
    assert_quadrants(loaded.rgb)
    with pytest.raises(AttributeError):
        loaded.rgb = source


def test_the_original_size_is_that_of_the_upright_file() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    loaded = load(encode(quadrants(5000, 2500), "JPEG", exif=exif))
    assert loaded.original_size == (2500, 5000) and loaded.size == (1024, 2048)


def test_a_crowd_decodes_a_few_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, inside, most, pixels = threading.Lock(), [], [], []

    def to_rgb(image: Image.Image) -> Image.Image:
        with lock:
            inside.append(image)
            most.append(len(inside))
            pixels.append(sum(one.width * one.height for one in inside))
        time.sleep(0.02)
        with lock:
            inside.remove(image)
        return image.convert("RGB")

    monkeypatch.setattr(images, "to_rgb", to_rgb)
    monkeypatch.setattr(images, "decoding", images.Turns(3, 5000))
    sent = [encode(quadrants(*size), "PNG") for size in [(20, 20), (60, 60), (20, 40), (50, 80)] * 4]
    with ThreadPoolExecutor(16) as crowd:
        assert len(list(crowd.map(load, sent))) == 16
    assert 1 < max(most) <= 3 and max(pixels) <= 5000
