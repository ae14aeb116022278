"""What the Detect tab offers to take home: boxes as tables, as a drawing, and as a data set that other tools open."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm_demo import images, scenes
from vlm_demo.detection import Parsed, to_coco, to_csv, to_json, to_yolo
from vlm_demo.detection.drawing import annotate
from vlm_demo.images import LoadedImage
from vlm_demo.results import Result

from .gradio_private import save_bytes_to_cache

NAMES = ("All (ZIP)", "PNG", "JSON", "COCO", "CSV")  # of the buttons; the ZIP is a YOLO and COCO data set, too
ABOUT = """The image, its boxes, and how they were made.

images/, labels/, data.yaml   a data set in YOLO's form
images/, annotations.json     the same in COCO's form
detections.json               boxes as fractions and in pixels, with model, prompt and seed
detections.csv                the same as a table
boxes.png                     the boxes drawn
"""


@dataclass(frozen=True)
class Detected:
    """The last answer of one person: enough to draw, filter and export it again without the model.

    `parsed` has the size of the image as it was uploaded, `labels` are all that the model's world has.
    """

    source: str  # path or data URL of the image
    parsed: Parsed
    model: str
    prompt: str
    seed: int | None
    labels: Sequence[str]

    @classmethod
    def of(cls, source: str, size: tuple[int, int], result: Result, labels: Sequence[str] | None = None) -> Detected:
        """`size` is that of the image as it was uploaded; `labels` are all that the model may write, None where that is
        the world of icon scenes, or not known."""
        parsed = result.parsed.of_size(size)
        return cls(source, parsed, result.model, result.prompt, result.seed, labels or scenes.LABELS)

    @property
    def classes(self) -> list[str]:
        """One list for every image, so that exports can be joined: the world's labels. Foreign ones stand behind."""
        return [*self.labels, *sorted(set(self.parsed.labels).difference(self.labels))]

    @property
    def name(self) -> str:
        """The image's own name."""
        return "image.png" if self.source.startswith("data:") else Path(self.source).name


def files(answer: Detected, parsed: Parsed, image: LoadedImage, folder: str) -> list[str]:
    """Write the downloads of some of the boxes that were found, and return their paths, in the order of NAMES.

    `parsed` are these boxes, `image` is what they are drawn on, `folder` is where the files go.
    """
    drawn = io.BytesIO()
    annotate(image.rgb, parsed).save(drawn, "PNG", compress_level=1)
    names = answer.classes
    about = {"file_name": answer.name, "model": answer.model, "prompt": answer.prompt, "seed": answer.seed}
    written = {
        "boxes.png": drawn.getvalue(),
        "detections.json": to_json(parsed, **about).encode(),
        "annotations.json": json.dumps(to_coco(parsed, answer.name, names), indent=2).encode(),
        "detections.csv": to_csv(parsed).encode(),
    }
    everything = written | {
        "README.txt": ABOUT.encode(),
        "data.yaml": f"path: .\ntrain: images\nval: images\nnames: {json.dumps(names)}\n".encode(),
        f"labels/{Path(answer.name).stem}.txt": to_yolo(parsed, names).encode(),
        f"images/{answer.name}": images.read(answer.source),
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in everything.items():
            file.writestr(name, data)
    offered = {f"{Path(answer.name).stem}-boxes.zip": archive.getvalue()} | written
    return [save_bytes_to_cache(data, name, folder) for name, data in offered.items()]
