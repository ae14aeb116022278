"""What is measured of the router, and how it is reported: figures, reliability plot, model card."""

import json
from pathlib import Path

import numpy as np

from train import report as markdown
from train.card import write_card
from train.router.phrases import Phrase
from vlm_demo.router import Router
from vlm_demo.tasks import TASKS

BINS = 10
Figures = dict[str, float]


def expected(phrase: Phrase) -> frozenset[str]:
    """The tasks that the router should name: a comparison of one image is left out when something else is asked."""
    others = phrase.tasks - {"compare"}
    return others if phrase.n_images < TASKS["compare"].min_images and others else phrase.tasks


def probabilities(router: Router, phrases: list[Phrase]) -> np.ndarray:
    """Calibrated probabilities [N, tasks]."""
    return np.array([list(router.probabilities(p.text, p.n_images).values()) for p in phrases])


def references(phrases: list[Phrase]) -> np.ndarray:
    """Whether each task is asked for, [N, tasks] of bool."""
    return np.array([[task in p.tasks for task in TASKS] for p in phrases])


def bins(confidence: np.ndarray, right: np.ndarray) -> list[tuple[float, float, int]]:
    """(mean confidence, share that is right, count) of each of ten equal bins that is not empty."""
    index = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        (confidence[index == b].mean(), right[index == b].mean(), int((index == b).sum())) for b in np.unique(index)
    ]


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error (https://arxiv.org/abs/1706.04599) over ten equal bins."""
    return float(sum(n * abs(c - r) for c, r, n in bins(confidence, right)) / len(confidence))


def measure(router: Router, phrases: list[Phrase]) -> Figures:
    """Shares from 0 to 1.

    `exact`: exactly the right set of tasks, of the requests that ask for something. `unsure_meaningless` and
    `unsure_meaningful`: asked back. `right`: both sorts together. `ece_tasks`: calibration error of every task's
    probability. `ece_top`: of the likeliest task's probability, on requests that ask for something.
    """
    routes = [router.route(p.text, p.n_images) for p in phrases]
    right = np.array([frozenset(r.tasks) == expected(p) for r, p in zip(routes, phrases, strict=True)])
    asked_back = np.array([not r.tasks for r in routes])
    meaningful = np.array([bool(p.tasks) for p in phrases])
    p, reference = probabilities(router, phrases), references(phrases)
    top = p.argmax(1)
    top_right = np.take_along_axis(reference, top[:, None], 1)[:, 0]
    figures = {
        "n": len(phrases),
        "n_meaningful": int(meaningful.sum()),
        "right": float(right.mean()),
        "exact": float(right[meaningful].mean()),
        "unsure_meaningless": float(asked_back[~meaningful].mean()),
        "unsure_meaningful": float(asked_back[meaningful].mean()),
        "ece_tasks": calibration_error(p.ravel(), reference.ravel()),
        "ece_top": calibration_error(p.max(1)[meaningful], top_right[meaningful]),
    }
    for task in TASKS:
        predicted = np.array([task in r.tasks for r in routes])
        expected_task = np.array([task in expected(p) for p in phrases])
        figures[f"precision_{task}"] = float((predicted & expected_task).sum() / max(1, predicted.sum()))
        figures[f"recall_{task}"] = float((predicted & expected_task).sum() / max(1, expected_task.sum()))
    return figures


def write(folder: Path, router: Router, splits: dict[str, list[Phrase]], figures: dict) -> None:
    """`metrics.json`, `reliability.png` and `README.md` in the folder of the checkpoint."""
    (folder / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n")
    _plot(folder / "reliability.png", router, splits)
    size = (folder / "model.safetensors").stat().st_size / 1e6
    text = CARD.format(table=table(figures), size=size, test=figures["test"], **_settings(router, figures))
    write_card(folder, text, license="apache-2.0", language="en", pipeline_tag="text-classification")


def _settings(router: Router, figures: dict) -> dict[str, float]:
    return {
        "temperature": router.temperature,
        "threshold": router.threshold,
        "milliseconds": figures["milliseconds"],
    }


def table(figures: dict) -> str:
    """The figures as a Markdown table, one column a split."""
    splits = {name: value for name, value in figures.items() if isinstance(value, dict)}
    rows = []
    for key in next(iter(splits.values())):
        shown = str if key.startswith("n") else "{:.3f}".format
        rows.append({"": key} | {name: shown(split[key]) for name, split in splits.items()})
    return markdown.table(rows)


def _plot(path: Path, router: Router, splits: dict[str, list[Phrase]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (curve, counts) = plt.subplots(2, 1, figsize=(5, 6), height_ratios=(3, 1), sharex=True)
    curve.plot((0, 1), (0, 1), color="grey", linewidth=1, linestyle="--")
    for name in ("test", "development"):
        p, reference = probabilities(router, splits[name]).ravel(), references(splits[name]).ravel()
        points = bins(p, reference)
        error = calibration_error(p, reference)
        curve.plot([c for c, _, _ in points], [r for _, r, _ in points], marker="o", label=f"{name}, ECE {error:.3f}")
        counts.plot([c for c, _, _ in points], [n for _, _, n in points], marker="o")
    curve.set(ylabel="share that asks for the task", title="Router: probability of each task")
    curve.legend()
    counts.set(xlabel="probability given", ylabel="count", yscale="log")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


CARD = """\
# The router: free text to tasks

Tells which of `caption`, `detect`, `vqa` and `compare` a request in English asks for, several at once where it asks for
several, and none where it asks for nothing. Used by `vlm_demo.router`; trained from scratch by
`python -m train.router`. {size:.1f} MB of float16 weights, {milliseconds:.2f} ms a request in numpy on one CPU core.

Word vectors from hashed words and letter n-grams, two convolutions over the words, maximum over the text, two linear
layers; the number of images (one or several) is an input. Temperature {temperature:.2f} and threshold
{threshold:.2f} were set on the calibration split.

## How it reads requests

- "Where is the cat?" asks for boxes (`detect`); "where was this taken?", "where is the man looking?" are questions
  (`vqa`); "how many, and where?" is both.
- "What is this?", "what do you see?", "what is happening?" ask for a description (`caption`); "what is this animal?" is
  a question. Reading text in an image is a question, too.
- "List", "label", "identify all objects", "segment", "crop to" ask for boxes; "what animals are there?" is a
  question.
- "Which image shows ...", "what changed", "odd one out", "box the differences" are `compare`. With one image the
  route is unsure and its note says why; things compared within one image ("which is bigger, the dog or the cat?") are
  questions.
- Greetings, bare nouns ("cats", "a red car"), noise, statements, requests to edit or generate images, questions that
  no image answers ("the capital of France") and other languages make it unsure: the app then asks.

## Figures

Shares from 0 to 1. `exact` is exactly the right set of tasks for a meaningful request; asking back counts as wrong.
`ece_tasks` is the expected calibration error (ten bins) of all tasks' probabilities, `ece_top` that of the likeliest
task on meaningful requests.

{table}

- test: {test[n]} phrasings written by hand before the grammar (`tests/data/router_test.tsv`), never trained or
  tuned on.
- development: by hand; its mistakes were read while the grammar was written (`train/router/development.tsv`).
- calibration: by hand; sets the temperature and the threshold, nothing else (`train/router/calibration.tsv`).
- `python -m train.router --hold-out --out FOLDER` adds a validation column: requests, with typing mistakes, drawn from
  templates and nouns that this run leaves out of training. It serves to judge changes of the grammar or the network.

![Reliability](reliability.png)

## Limits

The hand-written splits have one author, who also wrote the grammar: other people's requests will do somewhat worse.
English only. A request that refers to an earlier turn ("and the other one?") is not understood. Requests of more than
two or three tasks, and questions about general knowledge, are the weakest.
"""
