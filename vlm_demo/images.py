"""The one door for pictures: every picture that enters the app, from wherever it comes, passes through `load`.

What comes out is an upright RGB picture of a sane size that belongs to the caller; what cannot be read gives an
`ImageError` whose message is meant for the person who sent it.
"""

import base64
import binascii
import logging
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

log = logging.getLogger(__name__)

MAX_BYTES = 20 * 1024 * 1024  # of one file as it arrives
MAX_PIXELS = 64_000_000  # of one picture as it says it is; a 48-megapixel phone fits
MAX_SIDE = 2048  # longest side of what `load` returns

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # JPEG covers MPO, which some phones write
KEPT = ("PNG", "JPEG", "WEBP", "BMP")  # formats that browsers show and other tools open
HEAD = 512  # bytes of a file that say what it is
# What a picture file may say of itself and still be kept as it arrived: how its pixels are to be read.
PLAIN = frozenset(
    "jfif jfif_version jfif_unit jfif_density dpi gamma chromaticity srgb transparency aspect interlace progressive "
    "progression adobe adobe_transform compression background loop duration timestamp version".split()
)
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
# What people send that is not a picture by our formats, by its first bytes.
_NOT_PICTURES = (
    (b"%pdf", "This is a PDF document. Please export the page as PNG or JPEG."),
    (b"<!doctype html", "This is a web page, not a picture. Please save the picture itself and send that file."),
    (b"<html", "This is a web page, not a picture. Please save the picture itself and send that file."),
    (b"<svg", "This is an SVG drawing, which is not read here. Please export it as PNG."),
    (b"<?xml", "This is an SVG or XML file, which is not read here. Please export it as PNG."),
)
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")

Source = str | Path | bytes | BinaryIO | Image.Image | np.ndarray


class ImageError(ValueError):
    """A picture could not be taken in; the message tells a person why and what to do."""


def load(source: Source) -> Image.Image:
    """Return `source` as a new, upright RGB picture whose longest side is at most `MAX_SIDE`.

    Args:
        source: a file's path, its bytes, a binary file object (read from where it stands), a base64 `data:` URL,
            a PIL image, or an array [H, W] or [H, W, 1 to 4] (uint8; 16-bit and float values are scaled).

    Animations give their first frame, transparency becomes white, and values of more than 8 bits are scaled.

    Raises:
        ImageError: too many bytes or pixels, not a picture, a damaged one, or an address on the web.
    """
    try:
        if isinstance(source, Image.Image):
            return _to_rgb(_check_size(source))
        if isinstance(source, np.ndarray):
            return _to_rgb(_from_array(source))
        data = read(source)
        with _open(data) as image:
            image.draft(None, (MAX_SIDE, MAX_SIDE))  # lets JPEG decode at a fraction of its size
            return _to_rgb(image)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError("There is not enough memory for this picture. Please send a smaller one.") from None
    except Exception as error:  # decoders raise almost anything on hostile bytes: OSError, SyntaxError, struct.error
        raise ImageError("The picture is damaged or cut off. Please save or download it once more.") from error


def clean(path: Path) -> Path:
    """Rewrite an uploaded file without what it tells about its maker, and return where it lies now.

    A picture keeps its size and stands upright; one in a format that few programs open becomes a PNG or JPEG.
    Of what cannot be read only the first bytes stay, from which `load` says what is wrong.
    """
    data = path.read_bytes()
    try:
        with _open(data) as image:
            jpeg = image.format in ("JPEG", "MPO")
            if image.format in KEPT and not _tells_more(image):
                return path
            if jpeg and _orientation(image) == 1:
                data = _bare_jpeg(data)
            else:
                data = _encode(_to_rgb(image, side=None), lossless=not jpeg)
    except Exception as error:
        log.info("%s cannot be read: %s", path.name, error)
        data = data[:HEAD]
    suffix = {b"\xff\xd8": ".jpg", b"\x89P": ".png"}.get(data[:2], path.suffix)
    kept = path if (path.suffix.lower(), suffix) == (".jpeg", ".jpg") else path.with_suffix(suffix)
    fresh = path.with_name("cleaning")  # the same upload of somebody else may be in use
    fresh.write_bytes(data)
    path.unlink()
    return fresh.rename(kept)


def _bare_jpeg(data: bytes) -> bytes:
    """A JPEG file without the segments that say anything but how to read its pixels, and without what follows it."""
    kept, at = [data[:2]], 2
    while data[at + 1] != 0xDA:  # until the first scan
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4])
        told = marker in range(0xE1, 0xF0) or marker == 0xFE  # application segments and comments
        if not told or marker == 0xEE or data[at + 4 : at + 15] == b"ICC_PROFILE":  # Adobe's tells how colours are kept
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at : data.index(b"\xff\xd9", at) + 2]])


def _encode(picture: Image.Image, lossless: bool) -> bytes:
    """A picture as a file that is not refused for its size when it comes back."""
    attempts: list[dict[str, Any]] = [{"format": "JPEG", "quality": quality} for quality in (95, 85, 60)]
    if lossless:
        attempts.insert(0, {"format": "PNG", "compress_level": 1})
    for options in attempts:
        file = BytesIO()
        picture.save(file, **options)
        if file.tell() <= MAX_BYTES:
            break
    return file.getvalue()


def _tells_more(image: Image.Image) -> bool:
    """Whether a file holds anything beside its pixels: where, when and by whom it was made, a smaller copy, words."""
    return bool(image.getexif()) or not PLAIN.issuperset(image.info) or bool(getattr(image, "text", None))


def measure(source: str | Path) -> tuple[int, int]:
    """Width and height of a picture file or data URL as it arrived, upright, without decoding it."""
    with _open(read(source)) as image:
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def read(source: str | Path | bytes | BinaryIO) -> bytes:
    """The bytes of a picture file, never more than `MAX_BYTES` of them."""
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
        raise ImageError(f"A picture was expected, not {type(source).__name__}.")
    if not data:
        raise ImageError("The file is empty.")
    if len(data) > MAX_BYTES:
        raise ImageError(_too_many_bytes())
    return data


def _read_file(path: str | Path) -> bytes:
    if "://" in str(path)[:20] or str(path)[:6].lower() in ("http:/", "https:"):  # Path("http://a") is "http:/a"
        raise ImageError("Web addresses are not opened here. Please download the picture and send the file.")
    path = Path(path)
    try:
        if path.is_file():  # not a pipe or a device: reading one could block for ever
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # no permission, a name too long, a zero byte in the name
        raise ImageError(f"The picture file {path.name[:80]!r} could not be opened.") from error
    raise ImageError(f"There is no picture file {path.name[:80]!r}.")


def _decode_data_url(url: str) -> bytes:
    """The bytes of a base64 `data:` URL; its length is checked before it is decoded."""
    header, comma, payload = url[:200].partition(",")
    if not comma or not header.lower().endswith(";base64"):
        raise ImageError("A data: URL must hold a picture in base64, as in data:image/png;base64,....")
    start = len(header) + 1
    if len(url) - start > MAX_BYTES * 4 // 3 + 1024:
        raise ImageError(_too_many_bytes())
    try:
        payload = "".join(url[start:].split())
        return base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError("The data: URL is not valid base64; it may have been cut off.") from error


def _open(data: bytes) -> Image.Image:
    """Open a picture without decoding its pixels, and check what it says of itself."""
    head = data[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for start, message in _NOT_PICTURES:
        if head.startswith(start):
            raise ImageError(message)
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS and b"avif" not in data[8:40]:
        raise ImageError("HEIC pictures are not read here. Please save the picture as JPEG and send that file.")
    try:
        return _check_size(Image.open(BytesIO(data), formats=FORMATS))
    except Image.DecompressionBombError:
        raise ImageError(_too_many_pixels()) from None
    except UnidentifiedImageError as error:
        raise ImageError(f"This is not a picture that can be read here, or it is damaged. {_READABLE}") from error


def _check_size(image: Image.Image) -> Image.Image:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError("The picture is empty: it is zero pixels wide or high.")
    if width * height > MAX_PIXELS:
        raise ImageError(_too_many_pixels())
    return image


def _too_many_bytes() -> str:
    return f"The file is larger than {MAX_BYTES // 1024**2} MB. Please send a smaller one."


def _too_many_pixels() -> str:
    return f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels. Please make it smaller first."


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)):
        raise ImageError(f"An array must be [height, width] or [height, width, 1 to 4], not {list(array.shape)}.")
    if array.dtype.kind not in "buif":
        raise ImageError(f"An array of {array.dtype} is not a picture. Please use uint8.")
    if array.shape[0] < 1 or array.shape[1] < 1:
        raise ImageError("The picture is empty: it is zero pixels wide or high.")
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


def _to_rgb(image: Image.Image, side: int | None = MAX_SIDE) -> Image.Image:
    """Decode, and turn any colour mode into a new upright RGB picture, its longest side at most `side` pixels."""
    image.load()
    orientation = _orientation(image)
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
    rgb.info.clear()  # no place, owner or camera travels on with the picture
    return rgb


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8. A damaged EXIF block costs the picture no more than its orientation."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow's EXIF reader raises many kinds on damaged blocks
        return 1
