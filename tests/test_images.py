"""The door for pictures: everything that people send either becomes an upright RGB picture or a clear message."""

import base64
import io
import random
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageChops, ImageStat

from tests.photo import photo
from vlm_demo import images
from vlm_demo.images import ImageError, decode, load
from vlm_demo.uploads import KEPT, clean

HARD = Path(__file__).parents[1].parent / "shared" / "data" / "images_hard"

# Four corners that no rotation or mirroring maps onto themselves: red, green / blue, white.
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quadrants(width: int = 64, height: int = 48) -> Image.Image:
    image = Image.new("RGB", (width, height), WHITE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def assert_quadrants(image: Image.Image, tolerance: int = 24) -> None:
    assert image.mode == "RGB"
    width, height = image.size
    for (x, y), colour in {(1, 1): RED, (3, 1): GREEN, (1, 3): BLUE, (3, 3): WHITE}.items():
        pixel = image.getpixel((width * x // 4, height * y // 4))
        assert max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) <= tolerance, (x, y, pixel)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(b"\0" * 100)), png_chunk(b"IEND", b""))
    )


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


def test_every_kind_of_source_gives_the_same_picture(tmp_path):
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


def test_large_pictures_are_downscaled_and_keep_their_shape():
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
def test_what_is_not_a_picture_gives_a_message_for_people(source, words):
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
def test_hard_pictures_that_are_pictures(name, size):
    image = decode(HARD / name)
    assert image.size == size and image.mode == "RGB"
    values = np.asarray(image)
    assert values.std() > 5 and 10 < values.mean() < 250  # neither black, white nor flat


@needs_data
@pytest.mark.parametrize(("name", "words"), REFUSED_HARD.items())
def test_hard_pictures_that_are_refused(name, words):
    with pytest.raises(ImageError, match=words):
        decode(HARD / name)


@needs_data
def test_every_hard_picture_is_expected():
    assert {path.name for path in HARD.iterdir()} == READABLE_HARD.keys() | REFUSED_HARD.keys()


@needs_data
def test_turned_photographs_look_alike_once_upright():
    small = [np.asarray(decode(HARD / f"exif_Landscape_{i}.jpg").resize((30, 20))).astype(float) for i in (3, 6, 8)]
    for other in small[1:]:
        assert abs(small[0] - other).mean() < 12


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


def test_a_second_picture_behind_the_first_is_cut_off(tmp_path: Path) -> None:
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


def test_a_crowd_decodes_a_few_pictures_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_damaged_picture_gives_its_turn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "decoding", images.Turns(1, 10_000))
    for _ in range(3):
        with pytest.raises(ImageError, match="damaged"):
            load(encode(quadrants(), "PNG")[:-60])
    assert_quadrants(load(quadrants()).rgb)
