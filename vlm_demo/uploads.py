"""Uploaded files, rewritten without what they tell about whoever made them."""

import logging
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from vlm_demo.images import HEAD, MAX_BYTES, decoding, open_image, orientation_of, to_rgb

log = logging.getLogger(__name__)

KEPT = ("PNG", "JPEG", "WEBP", "BMP")  # formats that browsers show and other tools open
# What an image file may say of itself and still be kept as it arrived: how its pixels are to be read.
PLAIN = frozenset(
    "jfif jfif_version jfif_unit jfif_density dpi gamma chromaticity srgb transparency aspect interlace progressive "
    "progression adobe adobe_transform compression background loop duration timestamp version".split()
)


def clean(path: Path) -> Path:
    """Rewrite an uploaded file without what it tells about its maker, and return where it lies now.

    An image keeps its size and stands upright; one in a format that few programs open becomes a PNG or JPEG.
    Of what cannot be read only the first bytes stay, from which `images.load` says what is wrong.
    """
    data = path.read_bytes()
    try:
        with open_image(data) as image:
            jpeg = image.format in ("JPEG", "MPO")
            if image.format in KEPT and not _tells_more(image):
                return path
            if jpeg and orientation_of(image) == 1:
                data = _bare_jpeg(data)
            else:
                with decoding(image):
                    data = _encode(to_rgb(image, side=None), lossless=not jpeg)
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
        extra = marker in range(0xE1, 0xF0) or marker == 0xFE  # application segments and comments
        if not extra or marker == 0xEE or data[at + 4 : at + 15] == b"ICC_PROFILE":  # Adobe tells how colours are kept
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at : data.index(b"\xff\xd9", at) + 2]])


def _encode(image: Image.Image, lossless: bool) -> bytes:
    """An image as a file that is not refused for its size when it comes back."""
    attempts: list[dict[str, Any]] = [{"format": "JPEG", "quality": quality} for quality in (95, 85, 60)]
    if lossless:
        attempts.insert(0, {"format": "PNG", "compress_level": 1})
    for options in attempts:
        file = BytesIO()
        image.save(file, **options)
        if file.tell() <= MAX_BYTES:
            break
    return file.getvalue()


def _tells_more(image: Image.Image) -> bool:
    """Whether a file holds anything beside its pixels: where, when and by whom it was made, a smaller copy, words."""
    return bool(image.getexif()) or not PLAIN.issuperset(image.info) or bool(getattr(image, "text", None))
