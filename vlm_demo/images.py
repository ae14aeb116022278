"""The one door for images: every image that enters the app, from wherever it comes, passes through `load`.

What comes out is a `LoadedImage`, which everything behind the door takes; what cannot be read gives an `ImageError`
whose message is meant for the person who sent it.
"""

import base64
import binascii
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

MAX_BYTES = 20 * 1024 * 1024  # of one file as it arrives
MAX_PIXELS = 64_000_000  # of one image as it says it is; a 48-megapixel phone fits
MAX_SIDE = 2048  # longest side of what `load` returns
AT_ONCE = 4  # images are decoded at any moment, of together no more than MAX_PIXELS

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # JPEG covers MPO, which some phones write
HEAD = 512  # bytes of a file that say what it is
_READABLE = "Please use PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF."

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What people send that is not an image by our formats, by its first bytes.
_NOT_IMAGES = (
    (b"%pdf", "This is a PDF document. Please export the page as PNG or JPEG."),
    (b"<!doctype html", "This is a web page, not an image. Please save the image itself and send that file."),
    (b"<html", "This is a web page, not an image. Please save the image itself and send that file."),
    (b"<svg", "This is an SVG drawing, which is not read here. Please export it as PNG."),
    (b"<?xml", "This is an SVG or XML file, which is not read here. Please export it as PNG."),
)
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")

Source = str | Path | bytes | BinaryIO | Image.Image | np.ndarray


class ImageError(ValueError):
    """An image could not be taken in; the message tells a person why and what to do."""


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image as everything behind the door takes it: decoded once, and from then on changed by nobody.

    `rgb` is upright, its longest side at most `MAX_SIDE`; `key` is the hash of these pixels, the same for the same
    content; `original_size` is width and height of the upright image as it arrived.
    """

    rgb: Image.Image
    key: bytes
    original_size: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of `rgb`."""
        return self.rgb.size


def load(source: Source | LoadedImage) -> LoadedImage:
    """Take an image in; one that has been loaded already is given back as it is.

    Args:
        source: a file's path, its bytes, a binary file object (read from where it stands), a base64 `data:` URL,
            a PIL image, or an array [H, W] or [H, W, 1 to 4] (uint8; 16-bit and float values are scaled).

    Animations give their first frame, transparency becomes white, and values of more than 8 bits are scaled. What comes
    out shares nothing with the source. A few images are decoded at once; others wait their turn.

    Raises:
        ImageError: too many bytes or pixels, not an image, a damaged one, or an address on the web.
    """
    if isinstance(source, LoadedImage):
        return source
    with _readable(source) as (image, original_size):
        with decoding(image):
            rgb = to_rgb(image)
        key = blake2b(rgb.tobytes(), digest_size=16, person=b"%dx%d" % rgb.size)
    return LoadedImage(rgb, key.digest(), original_size)


def decode(source: Source) -> Image.Image:
    """The pixels of `load` alone, without its hash and without waiting for a turn: for training data, row by row."""
    with _readable(source) as (image, _):
        return to_rgb(image)


@contextmanager
def _readable(source: Source) -> Iterator[tuple[Image.Image, tuple[int, int]]]:
    """The image of a source, not decoded yet, and its upright size; what goes wrong with it becomes an ImageError."""
    try:
        if isinstance(source, Image.Image):
            yield _check_size(source), _upright_size(source)
        elif isinstance(source, np.ndarray):
            image = _from_array(source)
            yield image, image.size
        else:
            with open_image(read(source)) as image:
                size = _upright_size(image)
                image.draft(None, (MAX_SIDE, MAX_SIDE))  # lets JPEG decode at a fraction of its size
                yield image, size
    except ImageError:
        raise
    except MemoryError:
        raise ImageError("There is not enough memory for this image. Please send a smaller one.") from None
    except Exception as error:  # decoders raise almost anything on hostile bytes: OSError, SyntaxError, struct.error
        raise ImageError("The image is damaged or cut off. Please save or download it once more.") from error


class Turns:
    """Lets decoders in, first come, first served, as long as what all of them hold stays within bounds."""

    def __init__(self, images: int, pixels: int) -> None:
        self._most_images, self._most_pixels = images, pixels
        self._images = self._pixels = 0
        self._first = threading.Lock()  # held by whoever is next; nobody passes a large image that waits for room
        self._left = threading.Condition()

    @contextmanager
    def __call__(self, image: Image.Image) -> Iterator[None]:
        """Wait for room for an image, and hold it."""
        pixels = image.width * image.height
        with self._first, self._left:
            self._left.wait_for(lambda: self._images < self._most_images and self._pixels + pixels <= self._most_pixels)
            self._images, self._pixels = self._images + 1, self._pixels + pixels
        try:
            yield
        finally:
            with self._left:
                self._images, self._pixels = self._images - 1, self._pixels - pixels
                self._left.notify()


decoding = Turns(AT_ONCE, MAX_PIXELS)


def read(source: str | Path | bytes | BinaryIO) -> bytes:
    """The bytes of an image file, never more than `MAX_BYTES` of them."""
    if isinstance(source, str) and source[:5].lower() == "data:":
        data = _decode_data_url(source)
    elif isinstance(source, str | Path):
        data = _read_file(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source[: MAX_BYTES + 1])
    elif hasattr(source, "read"):
        data = source.read(MAX_BYTES + 1)
        if not isinstance(data, bytes):
            raise ImageError("The file was opened as text. Please open it in binary mode.")
    else:
        raise ImageError(f"An image was expected, not {type(source).__name__}.")
    if not data:
        raise ImageError("The file is empty.")
    if len(data) > MAX_BYTES:
        raise ImageError(_too_many_bytes())
    return data


def _read_file(path: str | Path) -> bytes:
    if "://" in str(path)[:20] or str(path)[:6].lower() in ("http:/", "https:"):  # Path("http://a") is "http:/a"
        raise ImageError("Web addresses are not opened here. Please download the image and send the file.")
    path = Path(path)
    try:
        if path.is_file():  # not a pipe or a device: reading one could block for ever
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # no permission, a name too long, a zero byte in the name
        raise ImageError(f"The image file {path.name[:80]!r} could not be opened.") from error
    raise ImageError(f"There is no image file {path.name[:80]!r}.")


def _decode_data_url(url: str) -> bytes:
    """The bytes of a base64 `data:` URL; its length is checked before it is decoded."""
    header, comma, payload = url[:200].partition(",")
    if not comma or not header.lower().endswith(";base64"):
        raise ImageError("A data: URL must hold an image in base64, as in data:image/png;base64,....")
    start = len(header) + 1
    if len(url) - start > MAX_BYTES * 4 // 3 + 1024:
        raise ImageError(_too_many_bytes())
    try:
        payload = "".join(url[start:].split())
        return base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError("The data: URL is not valid base64; it may have been cut off.") from error


def open_image(data: bytes) -> Image.Image:
    """Open an image without decoding its pixels, and check what it says of itself."""
    head = data[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for start, message in _NOT_IMAGES:
        if head.startswith(start):
            raise ImageError(message)
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS and b"avif" not in data[8:40]:
        raise ImageError("HEIC images are not read here. Please save the image as JPEG and send that file.")
    try:
        return _check_size(Image.open(BytesIO(data), formats=FORMATS))
    except Image.DecompressionBombError:
        raise ImageError(_too_many_pixels()) from None
    except UnidentifiedImageError as error:
        raise ImageError(f"This is not an image that can be read here, or it is damaged. {_READABLE}") from error


def _check_size(image: Image.Image) -> Image.Image:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError("The image is empty: it is zero pixels wide or high.")
    if width * height > MAX_PIXELS:
        raise ImageError(_too_many_pixels())
    return image


def _too_many_bytes() -> str:
    return f"The file is larger than {MAX_BYTES // 1024**2} MB. Please send a smaller one."


def _too_many_pixels() -> str:
    return f"The image has more than {MAX_PIXELS // 1_000_000} million pixels. Please make it smaller first."


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)):
        raise ImageError(f"An array must be [height, width] or [height, width, 1 to 4], not {list(array.shape)}.")
    if array.dtype.kind not in "buif":
        raise ImageError(f"An array of {array.dtype} is not an image. Please use uint8.")
    if array.shape[0] < 1 or array.shape[1] < 1:
        raise ImageError("The image is empty: it is zero pixels wide or high.")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise ImageError(_too_many_pixels())
    return Image.fromarray(array if array.dtype == np.uint8 else _to_8_bits(array))


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Scale values of any range to 0..255 by the smallest usual bit depth that holds them (1.0 for fractions).

    Scanners and cameras store 10, 12 or 14 bits in 16: dividing by 257 would show those almost black, and Pillow's
    own conversion clips everything above 255 to white.
    """
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    depths = ((1.0,) if values.dtype.kind == "f" else ()) + (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
    values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = min(float(values.min()), 0.0), float(values.max())
    top = next((depth for depth in depths if high <= depth), high) if low == 0 else high
    return ((values - low) * (255.0 / max(top - low, 1e-12))).round().astype(np.uint8)


def to_rgb(image: Image.Image, side: int | None = MAX_SIDE) -> Image.Image:
    """Decode, and turn any colour mode into a new upright RGB image, its longest side at most `side` pixels."""
    image.load()
    orientation = orientation_of(image)
    if image.mode.startswith("I") or image.mode == "F":  # 16 and 32 bits
        image = Image.fromarray(_to_8_bits(np.asarray(image)))
    elif image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert(image.mode.upper())
    if image.has_transparency_data:
        image = image.convert("RGBA")
        rgb = Image.new("RGB", image.size, "white")
        rgb.paste(image, mask=image.getchannel("A"))
    else:
        rgb = image.convert("RGB")
    if side is not None:
        rgb.thumbnail((side, side), Image.Resampling.LANCZOS)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    rgb.info.clear()  # no place, owner or camera travels on with the image
    return rgb


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an image once it stands upright."""
    width, height = image.size
    return (height, width) if orientation_of(image) >= 5 else (width, height)


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8. A damaged EXIF block costs the image no more than its orientation."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow's EXIF reader raises many kinds on damaged blocks
        return 1
