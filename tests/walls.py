"""A source of training rows, some of which are damaged."""

from functools import partial

from PIL import Image

from train.data import InvalidRow, LazyExample, LazyImage, Source
from train.data.base import chat
from vlm_demo.images import ImageError


class Walls(Source):
    """Plain pictures to ask about or to caption, of which some rows, or some pictures, cannot be read."""

    def __init__(self, count: int, task: str = "vqa", bad_rows=(), bad_images=()) -> None:
        super().__init__(f"{task} walls")
        self.count, self.task, self.bad_rows, self.bad_images = count, task, bad_rows, bad_images

    def __len__(self) -> int:
        return self.count

    def lazy_example(self, index: int, epoch: int = 0) -> LazyExample:
        name = self.row_name(index)
        if index in self.bad_rows:
            raise InvalidRow(name, "the text is gone")
        answer = "red " * (index % 5 + 1) + "cat"
        shown = _damaged if index in self.bad_images else partial(Image.new, "RGB", (32, 32), (index * 9, 80, 200))
        return LazyExample(
            self.task, (LazyImage(name, shown),), chat(self.task, "how many?", answer), {"answer": answer}, name
        )


def _damaged() -> Image.Image:
    raise ImageError("The picture is damaged.")
