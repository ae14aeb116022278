"""A picture as a phone sends it."""

from pathlib import Path

from PIL import ExifTags, Image


def photo(path: Path, size: tuple[int, int] = (300, 200), orientation: int = 1, **options) -> Image.Image:
    """Save what a phone would send: a picture with its place, its maker and how the phone was held."""
    picture = Image.new("RGB", size, "navy")
    picture.paste("gold", (0, 0, size[0] // 4, size[1] // 4))
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "SECRETPHONE"
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSMapDatum] = "SECRETPLACE"
    picture.save(path, exif=exif, **options)
    return picture
