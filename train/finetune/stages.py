"""A run of fine-tuning: its sources, the model that it starts from, its stages, and what it leaves in its folder."""

import argparse
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from transformers.trainer import TRAINER_STATE_NAME

from train.data import Source, SourceError, open_source
from train.files import write_whole
from train.finetune import checkpoints
from train.finetune.backbones import (
    PRETRAINED,
    SCRATCH,
    Pair,
    from_checkpoint,
    from_pretrained_pair,
    from_scratch,
    set_trainable,
)
from train.finetune.trainer import train
from train.finetune.visualization import write_visualizations
from train.loop import write_log
from vlm_demo.tasks import TASKS

UNTRAINED = "untrained"
SHOWN = 6  # examples of each source on the pages with answers
# Settings that may change between two starts of the same run.
FREE = {"micro_batch", "cache", "no_cache", "fsdp", "save_every"}


def open_sources(args: argparse.Namespace) -> list[Source]:
    """The sources of `--data`; `TASK=NAME` says what to make of one, otherwise the command's task or the columns."""
    sources = []
    for word in args.data:
        head, separator, tail = word.partition("=")
        task, name = (head, tail) if separator and head in TASKS else (None, word)
        if args.task != "multitask":
            task = task or args.task
        if Path(name).suffix in (".json", ".jsonl"):
            task = None  # a conversation is what it is
        sources.append(open_source(name, task, args.split, args.samples, args.streaming, args.seed))
    if args.weights is not None and len(args.weights) != len(sources):
        raise SourceError(f"--weights names {len(args.weights)} weights, but there are {len(sources)} sources.")
    return sources


def shown_sources(args: argparse.Namespace, sources: list[Source]) -> list[Source]:
    """What the pages with answers show: the validation split, or where there is none, what was trained on."""
    names = [word.partition("=")[2] or word for word in args.data]
    why = "One file has no splits."
    try:
        if not any(Path(name).is_file() for name in names):
            return open_sources(argparse.Namespace(**{**vars(args), "split": "validation", "samples": 4 * SHOWN}))
    except SourceError as error:
        why = str(error)
    print(f"{why} The pages show rows that were trained on.")
    return sources


def build(args: argparse.Namespace, sources: list[Source]) -> Pair:
    """The untrained model and its processor, as the arguments ask."""
    torch.manual_seed(args.seed)
    if args.start:
        return from_checkpoint(args.start)
    config: dict[str, Any] = {"projector": args.projector, "pixel_shuffle": args.pixel_shuffle}
    config["image_seq_length"] = args.image_tokens
    if args.size in SCRATCH and not (args.vision or args.text):
        return from_scratch(args.size, sources, **config)
    vision, text = PRETRAINED.get(args.size, PRETRAINED["base"])
    return from_pretrained_pair(args.vision or vision, args.text or text, **config)


def copy_model(checkpoint: Path, folder: Path) -> None:
    """Put the model and processor of a checkpoint into `folder`, each file whole or not there, the weights last."""
    partial = folder / "model.partial"
    for path in sorted(checkpoint.iterdir(), key=lambda path: path.suffix == ".safetensors"):
        of_model = path.suffix in (".json", ".jinja", ".safetensors")
        if of_model and path.name not in (checkpoints.MANIFEST, TRAINER_STATE_NAME):
            shutil.copyfile(path, partial)
            os.replace(partial, folder / path.name)


def check_settings(args: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """The settings of this run, and whether run.json says that it is finished; refuses the folder of another run."""
    settings = {name: value for name, value in vars(args).items() if name not in FREE | {"out"}}
    path = args.out / "run.json"
    if not path.exists():
        return settings, False
    report = json.loads(path.read_text())
    previous = report["settings"]
    differing = [name for name in settings if settings[name] != previous.get(name)]
    if differing:
        other = ", ".join(f"--{name.replace('_', '-')} {previous.get(name)}" for name in differing)
        raise ValueError(f"{args.out} holds a run with other settings ({other}): give another --out, or the same.")
    return settings, report.get("finished", False)


def make_start(args: argparse.Namespace, sources: list[Source], start: Path) -> None:
    """The model before training, in `start`, unless it is there; a file tells the other processes of a failure."""
    failed = start.with_suffix(".failed")
    failed.unlink(missing_ok=True)
    if checkpoints.verify(start) is None:
        return
    partial = start.with_suffix(".partial")
    partial.mkdir(exist_ok=True)
    try:
        for part in build(args, sources):
            part.save_pretrained(partial)
        checkpoints.leave_out_code(partial)
        checkpoints.write_manifest(partial)
        checkpoints.move_into_place(partial, start)
    except BaseException:
        failed.write_text(launch())
        raise


def await_start(start: Path) -> None:
    """Wait until the first process has made `start` as a whole. Raises ValueError where it could not."""
    failed = start.with_suffix(".failed")
    while checkpoints.verify(start) is not None:
        if failed.exists() and failed.read_text() == launch():
            raise ValueError("The first process could not make the model to start from; its own message says why.")
        time.sleep(1)


def launch() -> str:
    """What the processes of one start by torchrun have in common, and no others."""
    return " ".join(os.environ.get(name, "") for name in ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT"))


def run(args: argparse.Namespace) -> None:
    """Every stage that is not done yet."""
    main = int(os.environ.get("RANK", 0)) == 0
    args.out.mkdir(parents=True, exist_ok=True)
    settings, finished = check_settings(args)
    if finished:
        if main:
            print(f"{args.out} is finished. Give another --out to train once more.")
        return
    sources = open_sources(args)
    start = args.out / UNTRAINED
    if main:
        make_start(args, sources, start)
        write_run(args.out, {"settings": settings})
    await_start(start)
    model, processor = from_checkpoint(str(start))

    scratch = not args.start and args.size in SCRATCH and not (args.vision or args.text)
    frozen = set(args.freeze if args.freeze is not None else [] if scratch else ["vision"])
    parts = {"vision", "projector", "language"}
    lr = args.lr or (1e-3 if scratch else 1e-4)
    stages = [("projector", {"projector"}, args.projector_epochs, args.projector_lr)]
    stages += [("together", parts - frozen, args.epochs, lr)]
    log: list[dict[str, float]] = []
    report: dict[str, Any] = {"settings": settings, "stages": {}}
    first, stages_done = 0, []
    for name, trained, epochs, rate in stages:
        if not epochs:
            continue
        set_trainable(model, trained)
        if main:
            print(f"Stage {name}: {', '.join(sorted(trained))} learn, {epochs} epochs")
        done = train(
            model,
            processor,
            sources,
            args.out / name,
            epochs=epochs,
            batch=args.batch,
            micro_batch=args.micro_batch,
            lr=rate,
            weights=args.weights,
            temperature=args.temperature,
            limit=min(args.max_length, model.config.text_config.max_position_embeddings),
            cache=None if args.no_cache else args.cache,
            bf16={"auto": None, "bf16": True, "fp32": False}[args.precision],
            seed=args.seed,
            save_every=args.save_every,
            fsdp=args.fsdp,
        )
        log += [{**entry, "step": first + entry["step"]} for entry in done.pop("log")]
        first += done["steps"]
        stages_done.append(checkpoints.latest_valid(args.out / name))
        model, processor = from_checkpoint(str(stages_done[-1]))  # whole again, where it was sharded
        report["stages"][name] = done
        if main:
            curves = ("step", "loss", *TASKS)
            write_log(args.out, [{key: entry[key] for key in curves if key in entry} for entry in log])
            write_run(args.out, report | {"log": log})
    if main and stages_done:
        copy_model(stages_done[-1], args.out)
        write_visualizations(args.out / "images", start, args.out, shown_sources(args, sources), SHOWN)
        write_run(args.out, report | {"log": log, "finished": True})
        print(f"Done. Open it: python app.py --model {args.out}")
        print(f"Measure it: python -m train.evaluation {args.out} ...")


def write_run(folder: Path, report: dict[str, Any]) -> None:
    text = json.dumps(report, indent=1, default=str)
    write_whole(folder / "run.json", lambda file: file.write(text.encode()))
