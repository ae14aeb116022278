"""Makes a checkpoint ready for the Hub and pushes it: python -m train.finetune.push CHECKPOINT user/name [--private]

Writes model, processor, their code (for `trust_remote_code`) and a model card with the figures that were measured
(`python -m train.evaluation CHECKPOINT --data ... --keep`) to runs/push/user--name, then uploads that folder. Without a
network or a token it says so and leaves the folder ready. The app loads it by folder or by name:

    python app.py --model runs/push/user--name
    python app.py --model user/name
"""

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, HfApi
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from train.card import VLM, write_card
from train.evaluation.command import FIGURES, side_by_side
from train.report import table
from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor
from vlm_demo.runners.vision import NOVELTY_FILE
from vlm_demo.tasks import TASKS

RUN = "run.json"  # what a training command did
TASK_TYPES = {"caption": "image-to-text", "detect": "object-detection", "vqa": "visual-question-answering"}


def prepare(checkpoint: Path, folder: Path, repo: str, licence: str = "other") -> None:
    """Everything that the repository shall hold, in `folder`.

    Raises ValueError or OSError where `checkpoint` is no MiniVLM checkpoint.
    """
    model = MiniVLMForConditionalGeneration.from_pretrained(checkpoint, dtype="auto")
    processor = MiniVLMProcessor.from_pretrained(checkpoint)
    if folder.exists():
        shutil.rmtree(folder)
    # vlm_demo.model registers its classes for this: saving copies their code and names it in `auto_map`.
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    images = [*checkpoint.glob("*.png"), *checkpoint.glob("images/*.png")]
    for file in [checkpoint / NOVELTY_FILE, checkpoint / FIGURES, checkpoint / RUN, *images]:
        if file.exists():
            shutil.copy(file, folder / file.name)
    figures, run = (_read(checkpoint / name) for name in (FIGURES, RUN))
    if "evaluation" not in figures and (checkpoint / "README.md").exists():
        shutil.copy(checkpoint / "README.md", folder / "README.md")  # a card with figures of its own
        return
    names = [file.name for file in sorted(images)]
    evaluation = figures.get("evaluation", {})
    text = card(model, repo, evaluation, run, names)
    write_card(folder, text, **VLM | metadata(repo, evaluation, licence))


def card(
    model: MiniVLMForConditionalGeneration,
    repo: str,
    evaluation: dict[str, dict[str, dict[str, float]]],
    run: dict[str, Any],
    images: list[str],
) -> str:
    """The model card: what it is, the measured figures, how it was made, what it cannot do."""
    measured = side_by_side({"value": evaluation}) if evaluation else "Nothing was measured on this checkpoint yet."
    recipe = table(_recipe(run))
    config = model.config
    return CARD.format(
        name=_name(repo),
        repo=repo,
        millions=model.num_parameters() / 1e6,
        vision=config.vision_config.model_type,
        text=config.text_config.model_type,
        projector=config.projector,
        tokens=config.image_seq_length,
        measured=measured,
        recipe=recipe or "It was not recorded how this checkpoint was trained.",
        data=", ".join(evaluation) or "nothing",
        images="\n\n".join(f"![{Path(file).stem.replace('_', ' ')}]({file})" for file in images),
    )


def metadata(repo: str, evaluation: dict[str, dict[str, dict[str, float]]], licence: str) -> dict[str, Any]:
    """What the Hub reads of the card: its name, licence and figures."""
    results = [
        # The Hub refuses a dataset type with spaces or several slashes.
        EvalResult(TASK_TYPES.get(task, "image-text-to-text"), re.sub(r"[^\w.-]+", "-", source), source, figure, value)
        for source, tasks in evaluation.items()
        for task, values in tasks.items()
        for figure, value in values.items()
        if figure != "n"
    ]
    return {"model_name": _name(repo), "license": licence, "tags": ["minivlm"], "eval_results": results or None}


def push(folder: Path, repo: str, private: bool) -> str:
    """Upload; returns the address. Raises what huggingface_hub raises without network, token or permission."""
    api = HfApi()
    address = api.create_repo(repo, private=private, exist_ok=True)
    api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Push model, processor and card")
    return str(address)


def _name(repo: str) -> str:
    return repo.rpartition("/")[2]


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _recipe(run: dict[str, Any]) -> list[dict[str, str]]:
    """What `run.json` of `train.finetune` holds, as rows of a table."""
    rows = {name: value for name, value in run.get("settings", {}).items() if value not in (None, False)}
    for name, stage in run.get("stages", {}).items():
        samples = ", ".join(f"{count} of {source}" for source, count in stage["samples"].items())
        rows[f"stage {name}"] = f"{stage['steps']} steps on {samples}; {stage['seconds']:.0f} s"
        rows[f"stage {name}: rows that could not be read"] = len(stage["bad_rows"])
    for name, loss in {name: value for entry in run.get("log", []) for name, value in entry.items()}.items():
        if name in ("loss", *TASKS):
            rows[f"last loss, {name}" if name != "loss" else "last loss"] = f"{loss:.3f}"
    return [{"what": name.replace("_", " "), "value": _cell(value)} for name, value in rows.items()]


def _cell(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return " ".join(text.split()).replace("|", "\\|")


CARD = """\
# {name}

A MiniVLM of {millions:.1f} million parameters: a vision backbone ({vision}), a projector ({projector}, {tokens} image
tokens per image) and a language model ({text}). It captions, detects (as JSON), answers questions and compares
images, as far as it was trained to.

```python
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("{repo}", trust_remote_code=True)
processor = AutoProcessor.from_pretrained("{repo}", trust_remote_code=True)
```

`trust_remote_code` runs the Python files of this repository. The app of vlm-demo needs none of it:
`python app.py --model {repo}`.

## Measured

Greedy decoding with the app's own engine (`python -m train.evaluation`); the split follows the name of the data.
Figures run from 0 to 1, CIDEr-D from 0 to 10.

{measured}

## Training

{recipe}

{images}

## Limits

The figures above are all that is known about it, and they hold for images and questions like those of {data}.

It repeats the mistakes and biases of its training data, it can name things that are not there, and a confident answer
may be wrong.
Use it for teaching and research, not where a wrong answer does harm. The weights are under the licences of the
backbones and of the data that they were trained on; the code is Apache-2.0.
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("repo", metavar="user/name")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument("--license", default="other", help="licence of the weights, for the card (default: other)")
    parser.add_argument("--prepare", action="store_true", help="only write the folder, push nothing")
    parser.add_argument("--out", type=Path, help="the folder (default: runs/push/user--name)")
    args = parser.parse_args()
    try:
        validate_repo_id(args.repo)
    except HFValidationError as error:
        parser.error(str(error))
    if args.repo.count("/") != 1:
        parser.error(f"{args.repo}: the name must be user/name, with your Hub account before the slash")
    if not args.checkpoint.is_dir():
        parser.error(f"there is no folder {args.checkpoint}")
    folder = args.out or Path("runs/push") / args.repo.replace("/", "--")
    if folder.resolve() == args.checkpoint.resolve():
        parser.error("--out must be another folder than the checkpoint")
    try:
        prepare(args.checkpoint, folder, args.repo, args.license)
    except (OSError, ValueError) as error:
        raise SystemExit(f"{args.checkpoint} cannot be pushed: {error}") from error
    print(f"Ready: {folder}. Try it: python app.py --model {folder}")
    if args.prepare:
        return
    try:
        print(f"Pushed: {push(folder, args.repo, args.private)}")
    except (
        Exception
    ) as error:  # no network, no token, no permission; the HTTP library behind the Hub's has changed before
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SystemExit(
            f"Not pushed: {reason}\nThe folder stays ready. Once you are online and logged in (hf auth login), run the "
            f"same command again, or: hf upload {args.repo} {folder}"
        ) from error


if __name__ == "__main__":
    main()
