"""Boxes are where they were in the file that a person uploaded, whatever its shape and size."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import supervision as sv
from playwright.sync_api import expect

from tests import rectangles
from tests.browser.conftest import serve
from tests.browser.steps import finished, go
from tests.fake_engine import fake_engine
from tests.rectangles import check


@pytest.fixture(scope="module")
def boxed() -> Iterator[str]:
    """A page whose model knows the rectangles."""
    engine = fake_engine(rectangles.reply)
    with serve(engine) as address:
        yield address


@pytest.mark.parametrize("case", rectangles.CASES, ids=lambda case: case.name)
def test_the_table_and_the_data_set_have_pixels_of_the_file(
    boxed: str, visit: Callable, case: rectangles.Case, tmp_path: Path
) -> None:
    page = visit(boxed)
    go(page, "Detect")
    page.locator("#image-1 input[type=file]").set_input_files(case.save(tmp_path))
    page.locator("#image-1 img").wait_for()
    page.locator("#detect-run").click()
    finished(page, "detect")
    rows = page.locator("#detect-table tbody tr")
    expect(rows).to_have_count(len(case.boxes))
    for number, (label, box) in enumerate(case.boxes.items()):
        cells = rows.nth(number).locator("td").all_inner_texts()
        assert cells[0] == label
        assert [int(value) for value in cells[1].split(",")] == pytest.approx(box, abs=1)
    with page.expect_download() as download:
        page.locator("#detect-all").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        archive.extractall(tmp_path / "set")
    root = tmp_path / "set"
    check(sv.DetectionDataset.from_coco(str(root / "images"), str(root / "annotations.json")), case)
