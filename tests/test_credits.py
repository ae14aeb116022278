"""Whoever took a photograph that comes with the page is named while it is shown."""

import shutil
from pathlib import Path

from vlm_demo.samples import FOLDER, samples
from vlm_demo.ui.credits import NOBODY, credit

DOGS, HORSES = (str(FOLDER / name) for name in ("dogs.jpg", "horses.jpg"))


def test_the_photographer_and_the_licence_are_named(tmp_path: Path) -> None:
    told = credit(DOGS, None)
    assert "Photo: Aitzol Berasategi, " in told
    assert '<a href="https://creativecommons.org/licenses/by/4.0/"' in told and ">CC BY 4.0</a>" in told
    assert credit(shutil.copy(DOGS, tmp_path)) == told  # it is the image that counts, not where it lies


def test_of_several_images_each_has_its_number() -> None:
    assert "Photos: 1 Aitzol" in credit(DOGS, HORSES) and "; 2 <a" in credit(DOGS, HORSES)


def test_nobody_is_named_for_what_others_bring(tmp_path: Path) -> None:
    own = tmp_path / "dogs.jpg"
    own.write_bytes(Path(HORSES).read_bytes())
    assert credit(str(own)) == credit(None) == credit("data:image/png;base64,AAAA") == NOBODY
    assert "Photo: 2 Aitzol" in credit(str(own), DOGS)


def test_every_licence_that_asks_for_it_has_a_link() -> None:
    assert all(sample.licence_url for sample in samples() if sample.licence.startswith("CC"))
