"""Trains a vision-language model on your data: python -m train.finetune TASK --data NAME [--out runs/NAME]

    python -m train.finetune caption --data jxie/flickr8k --out runs/captions
    python -m train.finetune detect --data Francesco/animals-ij5d2 --size large --out runs/animals
    python -m train.finetune vqa --data FOLDER_WITH_PARQUET --streaming --samples 20000 --out runs/vqa
    python -m train.finetune multitask --data caption=jxie/flickr8k detect=FOLDER icons --temperature 2 --out runs/all
    python -m train.finetune caption --data jxie/flickr8k --tiny --samples 64 --out runs/try
    torchrun --nproc_per_node 4 -m train.finetune caption --data jxie/flickr8k --out runs/captions

Two stages in the manner of LLaVA (https://arxiv.org/abs/2304.08485): the projector alone, then all that is not frozen.
Stopped by Ctrl+C or killed, the same command goes on from the last good checkpoint, with the same batches and losses as
if it had never stopped. OUT then holds the model with its processor (`python app.py --model OUT`), OUT/untrained the
model it started from, log.json and losses.png the curves, run.json the settings, bad rows and what did not fit, and
OUT/pictures the answers before and after, boxes said and true, and the magnitude of the patch features.
"""

import argparse
import errno
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils.logging import disable_progress_bar

from train.data import BadRow, Source, SourceError, open_source
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
from train.finetune.pictures import write_training_pictures
from train.finetune.trainer import CannotSave, train
from train.loop import write_log
from vlm_demo.tasks import TASKS

UNTRAINED = "untrained"
SHOWN = 6  # examples of each source in the pictures
# Settings that may change between two starts of the same run.
FREE = {"micro_batch", "cache", "no_cache", "fsdp", "save_every"}


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=[*TASKS, "multitask"])
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="[TASK=]NAME",
        help="Hub names, folders, .parquet or .json, or icons",
    )
    data.add_argument("--split", default="train")
    data.add_argument("--samples", type=int, help="rows to use of each source (default: all)")
    data.add_argument("--streaming", action="store_true", help="fetch only those rows")
    data.add_argument("--weights", type=float, nargs="+", help="share of each source in the samples")
    data.add_argument("--temperature", type=float, default=1.0, help="1: sources by size; large: in equal shares")
    model = parser.add_argument_group("model")
    model.add_argument(
        "--size", choices=[*SCRATCH, *PRETRAINED], default="base", help="tiny and small start from nothing"
    )
    model.add_argument("--tiny", action="store_const", dest="size", const="tiny", help="the same as --size tiny")
    model.add_argument("--vision", help="another pretrained vision backbone, by name or folder")
    model.add_argument("--text", help="another pretrained language model, by name or folder")
    model.add_argument("--start", help="a MiniVLM checkpoint to go on from, instead of new backbones")
    model.add_argument("--projector", default="mlp", help="linear, mlp, qformer or resampler")
    model.add_argument("--image-tokens", type=int, default=0, help="queries of qformer and resampler")
    model.add_argument("--pixel-shuffle", type=int, default=1)
    stages = parser.add_argument_group("stages")
    stages.add_argument("--projector-epochs", type=int, default=1, help="of the first stage; 0 leaves it out")
    stages.add_argument("--epochs", type=int, default=2, help="of the second stage; 0 leaves it out")
    stages.add_argument(
        "--freeze",
        nargs="*",
        choices=["vision", "projector", "language"],
        help="parts that stay as they are in the second stage (default: vision, if pretrained)",
    )
    stages.add_argument("--projector-lr", type=float, default=1e-3)
    stages.add_argument("--lr", type=float, help="of the second stage (default: 1e-4, from nothing 1e-3)")
    stages.add_argument("--batch", type=int, default=32, help="samples in an optimizer step, over all processes")
    stages.add_argument("--micro-batch", type=int, default=8, help="samples that a process computes at once")
    stages.add_argument("--max-length", type=int, default=1024, help="tokens of a sample, pictures included")
    stages.add_argument("--precision", choices=["auto", "bf16", "fp32"], default="auto")
    stages.add_argument("--seed", type=int, default=0)
    run = parser.add_argument_group("run")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--save-every", type=int, help="steps (default: a tenth of a stage)")
    run.add_argument("--cache", type=Path, default=Path("runs/vision-cache"), help="folder for frozen vision features")
    run.add_argument("--no-cache", action="store_true", help="encode the pictures in each step")
    run.add_argument("--fsdp", action="store_true", help="shard the model over the processes of torchrun")
    return parser


def open_sources(args: argparse.Namespace) -> list[Source]:
    """The sources of `--data`; `TASK=NAME` says what to make of one, otherwise the command's task or the columns."""
    found = []
    for given in args.data:
        head, separator, tail = given.partition("=")
        task, name = (head, tail) if separator and head in TASKS else (None, given)
        if args.task != "multitask":
            task = task or args.task
        if Path(name).suffix in (".json", ".jsonl"):
            task = None  # a conversation is what it is
        found.append(open_source(name, task, args.split, args.samples, args.streaming, args.seed))
    if args.weights is not None and len(args.weights) != len(found):
        raise SourceError(f"--weights names {len(args.weights)} shares, but there are {len(found)} sources.")
    return found


def shown_sources(args: argparse.Namespace, sources: list[Source]) -> list[Source]:
    """What the pictures show: the validation split, or where there is none, what was trained on."""
    named = [given.partition("=")[2] or given for given in args.data]
    why = "One file has no splits."
    try:
        if not any(Path(name).is_file() for name in named):
            return open_sources(argparse.Namespace(**{**vars(args), "split": "validation", "samples": 4 * SHOWN}))
    except SourceError as error:
        why = str(error)
    print(f"{why} The pictures show rows that were trained on.")
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
        if of_model and path.name not in (checkpoints.LIST, TRAINER_STATE_NAME):
            shutil.copyfile(path, partial)
            os.replace(partial, folder / path.name)


def settle(args: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """The settings of this run, and whether run.json says that it is finished; refuses the folder of another run."""
    settings = {name: value for name, value in vars(args).items() if name not in FREE | {"out"}}
    path = args.out / "run.json"
    if not path.exists():
        return settings, False
    report = json.loads(path.read_text())
    kept = report["settings"]
    other = [f"--{name.replace('_', '-')} {kept.get(name)}" for name in settings if settings[name] != kept.get(name)]
    if other:
        raise ValueError(
            f"{args.out} holds a run with other settings ({', '.join(other)}): give another --out, or the same."
        )
    return settings, report.get("finished", False)


def make_start(args: argparse.Namespace, sources: list[Source], start: Path) -> None:
    """The model before training, in `start`, unless it is there; the other processes are told where that fails."""
    failed = start.with_suffix(".failed")
    failed.unlink(missing_ok=True)
    if checkpoints.fault(start) is None:
        return
    partial = start.with_suffix(".partial")
    partial.mkdir(exist_ok=True)
    try:
        for part in build(args, sources):
            part.save_pretrained(partial)
        checkpoints.leave_out_code(partial)
        checkpoints.seal(partial)
        checkpoints.move_into_place(partial, start)
    except BaseException:
        failed.write_text(launch())
        raise


def await_start(start: Path) -> None:
    """Wait until the first process has made `start` as a whole. Raises ValueError where it could not."""
    failed = start.with_suffix(".failed")
    while checkpoints.fault(start) is not None:
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
    settings, finished = settle(args)
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
        stages_done.append(checkpoints.last_good(args.out / name))
        model, processor = from_checkpoint(str(stages_done[-1]))  # whole again, where it was sharded
        report["stages"][name] = done
        if main:
            curves = ("step", "loss", *TASKS)
            write_log(args.out, [{key: entry[key] for key in curves if key in entry} for entry in log])
            write_run(args.out, report | {"log": log})
    if main and stages_done:
        copy_model(stages_done[-1], args.out)
        write_training_pictures(args.out / "pictures", start, args.out, shown_sources(args, sources), SHOWN)
        write_run(args.out, report | {"log": log, "finished": True})
        print(f"Done. Open it: python app.py --model {args.out}")
        print(f"Measure it: python -m train.evaluation {args.out} ...")


def write_run(folder: Path, report: dict[str, Any]) -> None:
    partial = folder / "run.json.partial"
    partial.write_text(json.dumps(report, indent=1, default=str))
    os.replace(partial, folder / "run.json")


def out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def main() -> None:
    """Run, and turn what can go wrong into a message that says what to do."""
    args = arguments().parse_args()
    disable_progress_bar()  # of loading and saving; the training bar stays
    try:
        run(args)
    except KeyboardInterrupt:
        print(f"\nStopped. The same command goes on from the last checkpoint in {args.out}.")
        sys.exit(130)
    except (SourceError, BadRow, ValueError, CannotSave, FloatingPointError) as error:
        sys.exit(str(error))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "Make room on the disk" if full else "Please check that it is there and can be written"
        sys.exit(f"{error}. {advice}, then run the same command again: it goes on from the last good checkpoint.")
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        smaller = max(1, args.micro_batch // 2)
        sys.exit(
            f"Out of memory with --micro-batch {args.micro_batch}. Run the same command with --micro-batch {smaller}: "
            "it goes on from the last good checkpoint, and the result stays the same. If it is 1 already, lower "
            "--max-length, or take a smaller --size in another --out."
        )


if __name__ == "__main__":
    main()
