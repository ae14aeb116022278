"""Averages the weights of runs from one start that saw different data: python -m train.icons.average RUN RUN --out RUN

Runs of `train.icons.multitask` with the same --start and --steps but another --first end near each other; the mean of
their weights is worth about as much as one run on all their data (model soups, Wortsman et al. 2022), and they need not
wait for each other while they run.
"""

import argparse
import shutil
from pathlib import Path

import torch

from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor


def average(models: list[MiniVLMForConditionalGeneration]) -> MiniVLMForConditionalGeneration:
    """The first of the models, with the mean of all their weights."""
    states = [model.state_dict() for model in models]
    mean = {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}
    models[0].load_state_dict({name: value.to(states[0][name].dtype) for name, value in mean.items()})
    return models[0]


def main() -> None:
    """Write a run folder that `train.icons.bundle --run` takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    model = average([MiniVLMForConditionalGeneration.from_pretrained(run / "model") for run in args.runs])
    model.save_pretrained(args.out / "model")
    MiniVLMProcessor.from_pretrained(args.runs[0] / "model").save_pretrained(args.out / "model")
    for name in ("losses.png", "log.json"):  # of the first run
        shutil.copy(args.runs[0] / name, args.out / name)


if __name__ == "__main__":
    main()
