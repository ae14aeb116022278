"""What training did: python -m train.photographs.before_after [--before runs/start] [--out FOLDER]

Some of the photographs that come with the page, with what the untrained model (pretrained parts, a new projector) and
the trained one say of them; written to OUT as a page and as a PNG. Four of the twelve photographs are in the training
data, none of those that are shown here is.
"""

import argparse
from pathlib import Path

from train.data.base import LazyExample, LazyImage, Source, chat
from train.finetune.visualization import write_before_after
from vlm_demo.engine import PHOTOGRAPHS
from vlm_demo.samples import Sample, samples

# Of each photograph that is shown: a question, and its answer.
QUESTIONS = {
    "dogs.jpg": ("How many dogs are there?", "2"),
    "cat.jpg": ("What animal is this?", "cat"),
    "coffee.jpg": ("Is this inside or outside?", "inside"),
    "stream.jpg": ("Where was this taken?", "in a forest"),
}


class Samples(Source):
    """A caption and a question for each of the photographs."""

    def __init__(self) -> None:
        super().__init__("photographs")
        self.shown: list[Sample] = [sample for sample in samples() if sample.image in QUESTIONS]

    def __len__(self) -> int:
        return 2 * len(self.shown)

    def lazy_example(self, index: int, epoch: int = 0) -> LazyExample:
        sample = self.shown[index // 2]
        if index % 2:
            question, answer = QUESTIONS[sample.image]
            task, reference = "vqa", {"answers": [answer]}
        else:
            question, answer = "", sample.what
            task, reference = "caption", {"captions": [answer]}
        image = LazyImage(sample.image, sample.open)
        return LazyExample(task, (image,), chat(task, question, answer), reference, sample.credit)


def main() -> None:
    """Write the page and the PNG."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, default=Path("runs/start"))
    parser.add_argument("--after", default=str(PHOTOGRAPHS))
    parser.add_argument("--out", type=Path, default=Path("runs/photographs/before_after"))
    args = parser.parse_args()
    source = Samples()
    write_before_after(args.out, args.before, args.after, source, len(source))


if __name__ == "__main__":
    main()
