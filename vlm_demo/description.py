"""What a checkpoint says of itself: its world, what it cannot know, how sure its numbers are. `description.json` beside
the weights holds it; a checkpoint without one is described by the defaults."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vlm_demo.familiarity import Familiarity, read_familiarity

FILE = "description.json"
IS_THERE = re.compile(
    r"(?:(?:is|are) there|(?:can|do) you see) (?:an? |any )?(.+?)"
    r"(?: here| in (?:the|this) (?:image|picture|photo|photograph|scene))?\s*\??$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Description:
    """
    Args:
        title: What the page calls the model.
        knows: One sentence on what the model knows and what it does not.
        notice: What is said beside an answer about an image from outside this world.
        samples: Where the page's own images come from: "scenes" (drawn anew) or "photographs" (those that
            come with it).
        labels: The only labels that it may write in detections; None for any.
        select_by_asking: "Which image shows ...?" is answered by asking about one image after another.
        threshold: Confidence from which a box is shown unless a person moves the slider.
        no_repeat_ngram_size: So many tokens in a row occur once in a brief caption (transformers' sampling parameter of
            this name); 0 where it may repeat itself.
        asks_alone: A question that does not lean on earlier turns is asked without them: they mislead a model that
            learned from few conversations.
        names: Words under which people ask for `labels`.
        describes_boxes: It learned to say what is in a box.
        calibration: For "boxes" and each kind that `answer_kind` tells, the numbers of a logistic curve from what the
            model gave to its words (and the detector to the region) to how often that is right, fitted on validation
            images.
        unfamiliar: What is said beside an answer to a question unlike those that it was trained on.
        familiarity: Tells such questions; None where the checkpoint holds no `questions.safetensors`.
    """

    title: str = ""
    knows: str = ""
    notice: str = ""
    samples: str = "photographs"
    labels: tuple[str, ...] | None = None
    select_by_asking: bool = False
    threshold: float = 0.0
    no_repeat_ngram_size: int = 0
    asks_alone: bool = False
    names: tuple[str, ...] = ()
    describes_boxes: bool = False
    calibration: dict[str, list[float]] = field(default_factory=dict)
    unfamiliar: str = ""
    familiarity: Familiarity | None = field(default=None, compare=False, repr=False)

    def untrained(self) -> Description:
        """The description of the same architecture with random weights: nothing that was measured is true of it."""
        return replace(
            self,
            title=f"{self.title}, untrained" if self.title else "",
            knows="Its weights are random: it has learned nothing.",
            threshold=0.0,
            calibration={},
        )

    def answer_kind(self, question: str, answer: str) -> str:
        """Which curve of `calibration` an answer has: "present" for whether one of `labels` is there, "yes_no" for
        every other yes or no, "answers" for the rest."""
        if answer.strip().rstrip(".").lower() not in ("yes", "no"):
            return "answers"
        thing = IS_THERE.match(question.strip())
        return "present" if thing and thing[1].lower() in self.names else "yes_no"

    def calibrated(self, kind: str, *probabilities: float) -> float | None:
        """How often answers of this kind are right that had these probabilities (Platt 1999); None if unknown."""
        if kind not in self.calibration:
            return None
        bias, *weights = self.calibration[kind]
        return 1 / (1 + math.exp(-bias - sum(w * logit(p) for w, p in zip(weights, probabilities, strict=True))))


def logit(probability: float) -> float:
    """Log odds, finite for 0 and 1."""
    probability = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(probability / (1 - probability))


def read_description(folder: Path | str | None) -> Description:
    """The description in a checkpoint's folder, or the defaults where there is none."""
    file = Path(folder or "", FILE)
    familiarity = read_familiarity(folder)
    if folder is None or not file.is_file():
        return Description(familiarity=familiarity)
    fields: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    fields.pop("familiarity", None)
    for name in ("labels", "names"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    return Description(**fields, familiarity=familiarity)
