"""Trains a vision-language model on your data: python -m train.finetune TASK --data NAME [--out runs/NAME]

    python -m train.finetune caption --data jxie/flickr8k --out runs/captions
    python -m train.finetune detect --data Francesco/animals-ij5d2 --size large --out runs/animals
    python -m train.finetune vqa --data FOLDER_WITH_PARQUET --streaming --samples 20000 --out runs/vqa
    python -m train.finetune multitask --data caption=jxie/flickr8k detect=FOLDER icons --temperature 2 --out runs/all
    python -m train.finetune caption --data jxie/flickr8k --tiny --samples 64 --out runs/try
    torchrun --nproc_per_node 4 -m train.finetune caption --data jxie/flickr8k --out runs/captions

Two stages in the manner of LLaVA (https://arxiv.org/abs/2304.08485): the projector alone, then all that is not frozen.
Stopped by Ctrl+C or killed, the same command resumes from the latest valid checkpoint, with the same batches and
losses as if it had never stopped. OUT then holds the model with its processor (`python app.py --model OUT`),
OUT/untrained the model it started from, log.json and losses.png the curves, run.json the settings, invalid rows and
what did not fit, and OUT/images the answers before and after, predicted and reference boxes, and the magnitude of the
patch features.
"""

import argparse
import errno
import sys
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from train.data import InvalidRow, SourceError
from train.finetune.backbones import PRETRAINED, SCRATCH
from train.finetune.stages import run
from train.finetune.trainer import CannotSave
from vlm_demo.tasks import TASKS


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
    data.add_argument("--weights", type=float, nargs="+", help="mixture weight of each source")
    data.add_argument("--temperature", type=float, default=1.0, help="of the mixture weights; 1: by size, large: equal")
    model = parser.add_argument_group("model")
    model.add_argument(
        "--size", choices=[*SCRATCH, *PRETRAINED], default="base", help="tiny and small start from scratch"
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
    stages.add_argument("--lr", type=float, help="of the second stage (default: 1e-4, from scratch 1e-3)")
    stages.add_argument("--batch", type=int, default=32, help="samples in an optimizer step, over all processes")
    stages.add_argument("--micro-batch", type=int, default=8, help="samples that a process computes at once")
    stages.add_argument("--max-length", type=int, default=1024, help="tokens of a sample, images included")
    stages.add_argument("--precision", choices=["auto", "bf16", "fp32"], default="auto")
    stages.add_argument("--seed", type=int, default=0)
    run = parser.add_argument_group("run")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--save-every", type=int, help="steps (default: a tenth of a stage)")
    run.add_argument("--cache", type=Path, default=Path("runs/vision-cache"), help="folder for frozen vision features")
    run.add_argument("--no-cache", action="store_true", help="encode the images in each step")
    run.add_argument("--fsdp", action="store_true", help="shard the model over the processes of torchrun")
    return parser


def out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def main() -> None:
    """Run, and turn what can go wrong into a message that says what to do."""
    args = arguments().parse_args()
    disable_progress_bar()  # of loading and saving; the training bar stays
    try:
        run(args)
    except KeyboardInterrupt:
        print(f"\nStopped. The same command resumes from the last checkpoint in {args.out}.")
        sys.exit(130)
    except (SourceError, InvalidRow, ValueError, CannotSave, FloatingPointError) as error:
        sys.exit(str(error))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "Make room on the disk" if full else "Please check that it is there and can be written"
        sys.exit(f"{error}. {advice}, then run the same command again: it resumes from the latest valid checkpoint.")
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        smaller = max(1, args.micro_batch // 2)
        sys.exit(
            f"Out of memory with --micro-batch {args.micro_batch}. Run the same command with --micro-batch {smaller}: "
            "it resumes from the latest valid checkpoint, and the result stays the same. If it is 1 already, lower "
            "--max-length, or take a smaller --size in another --out."
        )


if __name__ == "__main__":
    main()
