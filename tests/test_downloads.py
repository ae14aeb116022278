"""What the Detect tab offers to take home is opened by other tools, with the boxes where they were."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
import supervision as sv
from PIL import Image

from tests.fake_engine import fake_engine
from tests.rectangles import CASES, Case, check, reply
from vlm_demo import images, uploads
from vlm_demo.scenes import LABELS
from vlm_demo.ui import downloads


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def export(path: Path, folder: Path, *labels: str) -> list[Path]:
    """The downloads after the model has found the rectangles; `labels` are those that a person wants to see."""
    image = images.load(path)
    detected = downloads.Detected.of(str(path), image.original_size, fake_engine(reply).detect(image))
    parsed = detected.parsed.only(labels) if labels else detected.parsed
    return [Path(file) for file in downloads.files(detected, parsed, image, str(folder))]


def test_supervision_opens_the_zip_with_every_box_in_its_place(case: Case, tmp_path: Path) -> None:
    file, *_ = export(uploads.clean(case.save(tmp_path)), tmp_path)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "set")
    root = tmp_path / "set"
    assert file.name == f"{Path(case.name).stem}-boxes.zip"
    check(sv.DetectionDataset.from_yolo(str(root / "images"), str(root / "labels"), str(root / "data.yaml")), case)
    check(sv.DetectionDataset.from_coco(str(root / "images"), str(root / "annotations.json")), case)


def test_json_tells_how_it_was_made(tmp_path: Path) -> None:
    case = CASES[1]
    written = json.loads(export(case.save(tmp_path), tmp_path)[2].read_text())
    assert (written["file_name"], written["width"], written["height"]) == (case.name, *case.size)
    assert written["model"] == "fake" and written["prompt"] == "[OD]" and "seed" in written
    assert [item["pixels"] for item in written["objects"]] == [pytest.approx(box, abs=1) for box in case.boxes.values()]


def test_a_filter_keeps_the_numbers_of_the_classes(tmp_path: Path) -> None:
    file, _, _, coco, table = export(CASES[0].save(tmp_path), tmp_path, "tree")
    with zipfile.ZipFile(file) as archive:
        [line] = archive.read("labels/square.txt").decode().splitlines()
    assert LABELS[int(line.split()[0])] == "tree"
    [annotation] = json.loads(coco.read_text())["annotations"]
    assert annotation["category_id"] == LABELS.index("tree") + 1
    assert [row["label"] for row in csv.DictReader(io.StringIO(table.read_text()))] == ["tree"]


def test_the_drawing_has_the_boxes_on_their_edges(tmp_path: Path) -> None:
    case = CASES[1]
    drawing = Image.open(export(case.save(tmp_path), tmp_path)[1]).convert("RGB")
    assert drawing.size == case.size
    x, y, w, h = case.boxes["tree"]
    on_the_edge, beside = drawing.getpixel((x, y + h // 2)), drawing.getpixel((x + w // 2, y + h // 2))
    assert beside[1] > 100 and beside[0] < 20 and on_the_edge != beside


def test_every_image_of_a_world_has_the_same_list_of_classes(tmp_path: Path) -> None:
    case = CASES[0]
    path = case.save(tmp_path)
    result = fake_engine(reply).detect(images.load(path))
    photographs = ["person", *case.boxes, "zebra"]
    assert downloads.Detected.of(str(path), case.size, result, photographs).classes == photographs
    assert downloads.Detected.of(str(path), case.size, result).classes == list(LABELS)
    foreign = downloads.Detected.of(str(path), case.size, result, ["cat"])
    assert foreign.classes == ["cat", "tree"]
