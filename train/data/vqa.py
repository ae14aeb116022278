"""Questions about images in the columns of VQAv2: `image`, `question`, `answers`, `multiple_choice_answer`."""

from collections import Counter
from typing import Any

from datasets import Dataset

from .base import InvalidRow, LazyExample, Source, chat, one_line, stored_image


class Questions(Source):
    """A question with the answer that most people gave."""

    def __init__(self, rows: Dataset, name: str) -> None:
        super().__init__(name)
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def lazy_example(self, index: int, epoch: int = 0) -> LazyExample:
        row, name = self.rows[index], self.row_name(index)
        question, answers = one_line(row.get("question")), _answers(row)
        if not question:
            raise InvalidRow(name, "there is no question")
        common = one_line(row.get("multiple_choice_answer"))
        if not common and answers:
            common = Counter(answers).most_common(1)[0][0]
        if not common:
            raise InvalidRow(name, "there is no answer")
        image = stored_image(row.get("image"), name)
        return LazyExample("vqa", (image,), chat("vqa", question, common), {"answers": answers or [common]}, name)


def _answers(row: dict[str, Any]) -> list[str]:
    """All answers that people gave: a list of texts or of {"answer"}, or one `answer`."""
    cells = row.get("answers")
    cells = cells if isinstance(cells, list) else [row.get("answer")]
    answers = [one_line(item.get("answer") if isinstance(item, dict) else item) for item in cells]
    return [answer for answer in answers if answer]
