"""Questions about pictures in the columns of VQAv2: `image`, `question`, `answers`, `multiple_choice_answer`."""

from collections import Counter
from typing import Any

from datasets import Dataset

from .base import BadRow, Draft, Source, chat, stored_picture, told


class Questions(Source):
    """A question with the answer that most people gave."""

    def __init__(self, rows: Dataset, name: str) -> None:
        super().__init__(name)
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def draft(self, index: int, epoch: int = 0) -> Draft:
        row, name = self.rows[index], self.row_name(index)
        question, answers = told(row.get("question")), _answers(row)
        if not question:
            raise BadRow(name, "there is no question")
        common = told(row.get("multiple_choice_answer"))
        if not common and answers:
            common = Counter(answers).most_common(1)[0][0]
        if not common:
            raise BadRow(name, "there is no answer")
        picture = stored_picture(row.get("image"), name)
        return Draft("vqa", (picture,), chat("vqa", question, common), {"answers": answers or [common]}, name)


def _answers(row: dict[str, Any]) -> list[str]:
    """All answers that people gave: a list of texts or of {"answer"}, or one `answer`."""
    given = row.get("answers")
    given = given if isinstance(given, list) else [row.get("answer")]
    answers = [told(item.get("answer") if isinstance(item, dict) else item) for item in given]
    return [answer for answer in answers if answer]
