"""Free text to tasks: tags first, then a small classifier, which says when it is unsure.

    Router.load().route("how many cats, and where?")  ->  Route(tasks=["vqa", "detect"], ...)

The classifier is trained by `python -m train.router`. It runs in numpy: a vector for each word, made of the word and
its letter n-grams hashed into one table (as in fastText, https://arxiv.org/abs/1607.04606, so that mistyped and unknown
words have one too), convolutions over the words, the largest value of each feature over the text, and one logit for
each task. Several tasks at once, or none, are normal answers.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from vlm_demo.checkpoints import bundled
from vlm_demo.router.words import split_words, word_rows
from vlm_demo.tasks import TASKS

_TAGS = {task.tag.lower(): task.name for task in TASKS.values()}
_TAG = re.compile("|".join(re.escape(tag) for tag in _TAGS), re.IGNORECASE)
_JOINT = re.compile(
    r"[,;.!?:/&+]+|\b(?:and|then|also|plus|but|while|afterwards|as well as|after that)\b", re.IGNORECASE
)
_CLOSING = re.compile(r"[?!.]*")


@dataclass(frozen=True)
class Route:
    """What a request asks for.

    `tasks` stand in the order in which the request names them. `parts` gives for each of them the words that concern
    it, such as {"vqa": "how many cats", "detect": "where?"}; `text` is the whole request without its tags.
    `probabilities` has every task. When `unsure` is true the app should ask instead of running anything; `note` then
    says why, in words for people. Without `unsure` a note tells what was left out. `tagged`: a tag decided.
    """

    tasks: list[str]
    probabilities: dict[str, float]
    unsure: bool
    note: str | None = None
    text: str = ""
    parts: dict[str, str] = field(default_factory=dict)
    tagged: bool = False


class Router:
    """The classifier with its weights. One object may be used by many threads at once."""

    def __init__(self, weights: dict[str, np.ndarray], temperature: float, threshold: float) -> None:
        self.weights = {name: value.astype(np.float32) for name, value in weights.items()}
        self.temperature = temperature
        self.threshold = threshold

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Router":
        """Reads a folder written by `python -m train.router`; without `path`, the bundled one.

        Raises FileNotFoundError when there is none and ValueError when it does not fit this code.
        """
        folder = Path(path or bundled("router"))
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            weights = load_file(folder / "model.safetensors")
        except FileNotFoundError as error:
            raise FileNotFoundError(f"No router in {folder}: make one with `python -m train.router`.") from error
        if config["tasks"] != list(TASKS):
            raise ValueError(f"The router in {folder} knows {config['tasks']}, not {list(TASKS)}: train it again.")
        return cls(weights, config["temperature"], config["threshold"])

    def probabilities(self, text: str, n_images: int = 1) -> dict[str, float]:
        """The calibrated probability of each task, without the rules of `route`."""
        logits = self._logits(split_words(text), n_images) / self.temperature
        return {task: float(p) for task, p in zip(TASKS, 1 / (1 + np.exp(-logits)), strict=True)}

    def route(self, text: str, n_images: int = 1) -> Route:
        """What `text`, sent with `n_images` images, asks for: tags at its start decide, else the classifier does."""
        tagged, text = _leading_tags(text)
        if tagged:
            probabilities = {task: float(task in tagged) for task in TASKS}
            tasks, parts = tagged, dict.fromkeys(tagged, text)
        else:
            probabilities = self.probabilities(text, n_images)
            tasks, parts = self._tasks_and_parts(text, n_images, probabilities)
        return _checked(tasks, probabilities, text, parts, n_images, bool(tagged))

    def _tasks_and_parts(self, text: str, n_images: int, p: dict[str, float]) -> tuple[list[str], dict[str, str]]:
        tasks = [task for task in TASKS if p[task] >= 0.5]
        if not tasks and max(p.values()) >= self.threshold:
            tasks = [max(p, key=p.__getitem__)]
        if len(tasks) < 2:
            return tasks, dict.fromkeys(tasks, text)
        # Each task belongs to the clause that speaks for it most; clauses in between go with the one before.
        clauses = _clauses(text)
        scores = [self.probabilities(text[a:b], n_images) for a, b in clauses]
        owner = {task: max(range(len(clauses)), key=lambda i: scores[i][task]) for task in tasks}
        tasks.sort(key=owner.__getitem__)
        starts = sorted(set(owner.values()))
        parts = {}
        for task in tasks:
            later = [i for i in starts if i > owner[task]]
            begin = 0 if owner[task] == starts[0] else clauses[owner[task]][0]
            end = _CLOSING.match(text, clauses[later[0] - 1][1]).end() if later else len(text)
            parts[task] = text[begin:end].strip()
        return tasks, parts

    def _logits(self, words: Sequence[str], n_images: int) -> np.ndarray:
        w = self.weights
        table = w["table"]
        x = np.stack([table[list(word_rows(word, len(table)))].mean(0) for word in words])  # [T, D]
        x = _conv(x, w["conv1.weight"], w["conv1.bias"], 1)  # [T, H]
        x = x + _conv(x, w["conv2.weight"], w["conv2.bias"], 2)
        images = (1.0, 0.0) if n_images <= 1 else (0.0, 1.0)
        pooled = np.concatenate([x.max(0), np.asarray(images, np.float32)])  # [H + 2]
        hidden = np.maximum(w["hidden.weight"] @ pooled + w["hidden.bias"], 0)
        return w["out.weight"] @ hidden + w["out.bias"]  # [tasks]


def _leading_tags(text: str) -> tuple[list[str], str]:
    """The tasks tagged at the start of a text, each once, and what follows."""
    tasks, text = [], text.strip()
    while match := _TAG.match(text):
        task = _TAGS[match[0].lower()]
        tasks += [task] if task not in tasks else []
        text = text[match.end() :].lstrip()
    return tasks, text


def _clauses(text: str) -> list[tuple[int, int]]:
    """Start and end of the stretches of words between joints such as "and" or a comma."""
    starts = [0, *(m.end() for m in _JOINT.finditer(text))]
    ends = [*(m.start() for m in _JOINT.finditer(text)), len(text)]
    spans = [(a, b) for a, b in zip(starts, ends, strict=True) if text[a:b].strip()]
    return spans[-12:] or [(0, len(text))]


def _checked(
    tasks: list[str], probabilities: dict[str, float], text: str, parts: dict[str, str], n_images: int, tagged: bool
) -> Route:
    """The route, unsure and with a note where the tasks cannot run on so many images."""

    def route(tasks: list[str], unsure: bool, note: str | None) -> Route:
        return Route(tasks, probabilities, unsure, note, text, {task: parts[task] for task in tasks}, tagged)

    if not tasks:
        return route([], True, "That could mean several things. What shall I do with the image?")
    if n_images < 1:
        return route(tasks, True, "Add an image first.")
    compare = TASKS["compare"]
    if "compare" in tasks and not compare.min_images <= n_images <= compare.max_images:
        have = f"comparing takes {compare.min_images} to {compare.max_images} images, and there {_are(n_images)}"
        others = [task for task in tasks if task != "compare"]
        if others:
            return route(others, False, f"The comparison is left out: {have}.")
        return route(tasks, True, f"{have[0].upper()}{have[1:]}. Change the images or choose something else.")
    if tagged and "vqa" in tasks and not text:
        return route(tasks, True, f"Write the question after {TASKS['vqa'].tag}.")
    return route(tasks, False, None)


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"


def _conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, dilation: int) -> np.ndarray:
    """A convolution of width 3 over words, then ReLU: x [T, D], weight [3 * D, H] -> [T, H]."""
    padded = np.pad(x, ((dilation, dilation), (0, 0)))
    windows = np.concatenate([padded[k * dilation : k * dilation + len(x)] for k in range(3)], axis=1)  # [T, 3 * D]
    return np.maximum(windows @ weight + bias, 0)
