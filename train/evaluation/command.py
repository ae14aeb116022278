"""Measures checkpoints: python -m train.evaluation CHECKPOINT --data NAME ... [--against OTHER] [--keep]

Data are named as for training: a Hub name, a folder or file, or "icons"; TASK=NAME says which task it is to serve.
Every answer comes from the engine that the app uses, greedy. Prints a table, and writes figures.json and a page of
images with the predictions beside the references. A router is measured on its hand-written test
phrasings and needs no --data.

    python -m train.evaluation checkpoints/minivlm-icons --data icons --samples 200
    python -m train.evaluation runs/vqa/model --data vqa=../shared/data/daquar --against runs/vqa/untrained
    python -m train.evaluation checkpoints/router
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from train.data import Source, SourceError, open_source
from train.evaluation import metrics
from train.evaluation.page import cards, write_page
from train.evaluation.predictions import Prediction, answer_source
from train.report import machine, table
from train.router import report as router_report
from train.router.phrases import read_phrases
from train.router.training import TEST
from vlm_demo.engine import Engine, EngineError
from vlm_demo.router import Router
from vlm_demo.tasks import TASKS

FIGURES = "figures.json"
Figures = dict[str, dict[str, dict[str, float]]]  # source -> task -> figure -> value


def score(answers: Sequence[Prediction]) -> dict[str, float]:
    """Every figure of answers to one task, and their number `n`."""
    predictions, references = [one.result.text for one in answers], [one.reference for one in answers]
    if "captions" in references[0]:
        scores = metrics.caption_scores(predictions, [reference["captions"] for reference in references])
    elif "boxes" in references[0]:
        scores = metrics.detection_scores([one.result for one in answers], [one.reference_boxes for one in answers])
    elif "answers" in references[0]:
        scores = metrics.vqa_scores(predictions, [reference["answers"] for reference in references])
    else:
        scores = metrics.text_scores(predictions, [reference["answer"] for reference in references])
    return {"n": len(answers), **scores}


def evaluate(
    checkpoints: Sequence[str], sources: Sequence[Source], out: Path, samples: int | None = None, shown: int = 24
) -> dict[str, Figures]:
    """Figures by checkpoint; writes them, and a page of the first `shown` examples of each source, to `out`.

    Raises EngineError where a checkpoint cannot be loaded.
    """
    figures: dict[str, Figures] = {}
    answers: dict[str, dict[str, list[Prediction]]] = {source.name: {} for source in sources}
    for checkpoint in checkpoints:
        engine, figures[checkpoint] = Engine(checkpoint), {}
        try:
            for source in sources:
                wanted = len(source) if samples is None else min(samples, len(source))
                stream = tqdm(
                    answer_source(engine, source, samples, shown), desc=source.name, total=wanted, mininterval=5
                )
                answered = answers[source.name][checkpoint] = list(stream)
                tasks = dict.fromkeys(one.task for one in answered)
                figures[checkpoint][source.name] = {
                    task: score([one for one in answered if one.task == task]) for task in tasks
                }
                _report(source, answered)
        finally:
            engine.close()
    sections = {name: cards(by_checkpoint) for name, by_checkpoint in answers.items()}
    write_page(out / "page.html", " against ".join(checkpoints), sections, side_by_side(figures))
    (out / FIGURES).write_text(json.dumps({"where": machine(), **figures}, indent=2), encoding="utf-8")
    return figures


def side_by_side(figures: dict[str, Figures]) -> str:
    """A table, a figure a row, a checkpoint a column."""
    first = next(iter(figures.values()))
    rows: list[dict[str, Any]] = [
        {"data": source, "task": task, "n": int(values["n"]), "figure": name}
        | {checkpoint: float(of[source][task][name]) for checkpoint, of in figures.items()}
        for source, tasks in first.items()
        for task, values in tasks.items()
        for name in values
        if name != "n"
    ]
    return table(rows)


def keep(checkpoint: Path, figures: Figures) -> None:
    """Add figures to those in the checkpoint's folder, from which `train.finetune.push` writes the model card."""
    file = checkpoint / FIGURES
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    known["evaluation"] = known.get("evaluation", {}) | figures
    file.write_text(json.dumps(known, indent=2), encoding="utf-8")


def open_data(word: str, split: str, samples: int | None) -> Source:
    """A source from NAME or TASK=NAME."""
    task, equals, name = word.partition("=")
    if equals and task not in TASKS:
        raise SourceError(f"--data {word}: there is no task {task!r}; choose one of {', '.join(TASKS)}.")
    return open_source(name, task, split, samples) if equals else open_source(word, None, split, samples)


def is_router(checkpoint: str) -> bool:
    """Whether a folder holds a router and not a vision-language model."""
    config = Path(checkpoint) / "config.json"
    return config.exists() and "threshold" in json.loads(config.read_text(encoding="utf-8"))


def evaluate_routers(checkpoints: Sequence[str], out: Path) -> None:
    """Routing: accuracy, calibration error and each task's precision and recall."""
    phrases = read_phrases(TEST)
    figures = {name: router_report.measure(Router.load(name), phrases) for name in checkpoints}
    (out / FIGURES).write_text(json.dumps(figures, indent=2), encoding="utf-8")
    print(router_report.table(figures))


def _report(source: Source, answers: Sequence[Prediction]) -> None:
    """Say which rows could not be read, and which questions were not answered."""
    for verb, failures in (
        ("could not be read and are left out", list(source.invalid_rows.items())),
        ("were not answered and count as wrong", [(one.name, one.failure) for one in answers if one.failure]),
    ):
        if failures:
            print(f"{len(failures)} of {source.name} {verb}:")
            print("\n".join(f"  {name}: {why}" for name, why in failures[:20]))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder or Hub name of a model, or folder of a router")
    parser.add_argument("--data", nargs="+", default=[], metavar="[TASK=]NAME")
    parser.add_argument("--split", default="test", help="train, validation or test (default: test)")
    parser.add_argument("--samples", type=int, help="examples of each (default: all)")
    parser.add_argument("--against", metavar="OTHER", help="a second checkpoint, beside the first")
    parser.add_argument("--out", type=Path, default=Path("runs/evaluation"), help="folder for page and figures")
    parser.add_argument("--examples", type=int, default=24, help="examples of each on the page (default: 24)")
    parser.add_argument("--keep", action="store_true", help="add the figures to the checkpoint, for its model card")
    args = parser.parse_args()
    checkpoints = list(dict.fromkeys([args.checkpoint, *([args.against] if args.against else [])]))
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        if is_router(args.checkpoint):
            evaluate_routers(checkpoints, args.out)
            return
        if not args.data:
            parser.error("--data: say what to measure on, such as --data icons")
        if args.keep and not Path(args.checkpoint).is_dir():
            parser.error(f"--keep: {args.checkpoint} is not a folder")
        sources = [open_data(word, args.split, args.samples) for word in args.data]
        figures = evaluate(checkpoints, sources, args.out, args.samples, args.examples)
    except (SourceError, EngineError, FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    print(f"\n{side_by_side(figures)}\n\nThe page: {args.out / 'page.html'}")
    if args.keep:
        keep(Path(args.checkpoint), figures[args.checkpoint])


if __name__ == "__main__":
    main()
