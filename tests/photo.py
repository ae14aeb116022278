"""A picture as a phone sends it."""

from pathlib import Path

from PIL import ExifTags, Image


def photo(path: Path, size: tuple[int, int] = (300, 200), orientation: int = 1, **options) -> Image.Image:
    """Save what a phone would send: a picture with its place, its maker and how the phone was held."""
    image = Image.new("RGB", size, "navy")
    image.paste("gold", (0, 0, size[0] // 4, size[1] // 4))
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "SECRETPHONE"
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSMapDatum] = "SECRETPLACE"
    image.save(path, exif=exif, **options)
    return image
