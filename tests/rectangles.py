"""Pictures of every shape with known rectangles in them, and a model that knows where they are."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import supervision as sv
from PIL import ExifTags, Image

from vlm_demo.scenes import LABELS

Box = tuple[int, int, int, int]  # x, y, width, height in pixels


@dataclass(frozen=True)
class Case:
    """A file as a person has it: `size` is how it is shown; `turned` by its EXIF, as phones keep photographs."""

    name: str
    size: tuple[int, int]
    turned: bool = False

    @property
    def boxes(self) -> dict[str, Box]:
        """The rectangles, by the labels that the model gives them."""
        width, height = self.size
        return {
            "cat": (width // 7, height // 5, width // 3, height // 4),
            "tree": (width // 2, height // 2, width - width // 2, height - height // 2),  # in the corner
        }

    @property
    def text(self) -> str:
        """What a model writes that sees the rectangles."""
        width, height = self.size
        objects = [
            {
                "label": label,
                "bbox": [round(x / width, 6), round(y / height, 6), round(w / width, 6), round(h / height, 6)],
            }
            for label, (x, y, w, h) in self.boxes.items()
        ]
        return json.dumps({"objects": objects})

    def save(self, folder: Path) -> Path:
        drawn = Image.new("RGB", self.size, "white")
        for (x, y, w, h), colour in zip(self.boxes.values(), ("red", "green"), strict=True):
            drawn.paste(colour, (x, y, x + w, y + h))
        path = folder / self.name
        if not self.turned:
            drawn.save(path)
            return path
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6  # turn it clockwise to see it
        drawn.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
        return path


CASES = (
    Case("square.png", (200, 200)),
    Case("wide.jpg", (1920, 1080)),
    Case("tall.webp", (1080, 1920)),
    Case("panorama.jpg", (6000, 1500)),
    Case("phone.jpg", (3000, 4000), turned=True),
)


def reply(turns: list, images: list[Image.Image]) -> str:
    """The model's answer, for whichever case the first picture is by its shape."""
    shape = images[0].width / images[0].height
    return min(CASES, key=lambda case: abs(case.size[0] / case.size[1] - shape)).text


def check(dataset: sv.DetectionDataset, case: Case) -> None:
    """The data set holds one image in its own size, with the rectangles within a pixel of where they are."""
    assert dataset.classes == list(LABELS)
    [(path, image, annotated)] = dataset
    assert Path(path).name == case.name and (image.shape[1], image.shape[0]) == case.size
    truth = [[x, y, x + w, y + h] for x, y, w, h in case.boxes.values()]
    assert np.abs(annotated.xyxy - truth).max() < 1
    assert [dataset.classes[number] for number in annotated.class_id] == list(case.boxes)
