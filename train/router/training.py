"""Trains the router from scratch: python -m train.router [--steps 3000] [--corrections FILE]

Requests are drawn from the grammar of `train/router/grammar.py`; corrections ("wrong task" in the app) are mixed in,
where the owner has accepted any (`train.router.review`). The temperature and the threshold are set on hand-written
calibration phrasings, and everything is measured on other ones (`tests/data/router_test.tsv`) that training never sees.
Writes the weights, the figures, a reliability plot and the model card to `checkpoints/router`; what a stopped run needs
to resume is in `runs/router`. A few minutes on one core.
"""

import argparse
import json
import random
import shutil
import time
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import nn

from train import loop
from train.router import report
from train.router.grammar import Grammar
from train.router.phrases import ACCEPTED, FOLDER, Phrase, read_corrections, read_phrases
from vlm_demo.checkpoints import bundled
from vlm_demo.router import Router
from vlm_demo.router.words import split_words, word_rows
from vlm_demo.tasks import TASKS

TEST = Path(__file__).parents[2] / "tests" / "data" / "router_test.tsv"
ROWS, WORD_SIZE, FEATURES, HIDDEN = 16384, 64, 192, 64
GAP = 2  # empty rows between texts: as many as the widest convolution reaches
BATCH = 256


class RouterNet(nn.Module):
    """The network that `vlm_demo.router.Router` runs in numpy. Texts of a batch lie in one row, with gaps between."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(ROWS, WORD_SIZE, mode="mean")
        self.conv1 = nn.Conv1d(WORD_SIZE, FEATURES, 3, padding=1)
        self.conv2 = nn.Conv1d(FEATURES, FEATURES, 3, padding=2, dilation=2)
        self.hidden = nn.Linear(FEATURES + 2, HIDDEN)
        self.out = nn.Linear(HIDDEN, len(TASKS))
        self.dropout = nn.Dropout(0.15)
        nn.init.normal_(self.table.weight, std=0.3)

    def forward(self, phrases: list[Phrase]) -> torch.Tensor:
        """Logits [B, tasks]."""
        rows, offsets, owners = [], [], []
        for i, phrase in enumerate(phrases):
            for word in split_words(phrase.text):
                offsets.append(len(rows))
                rows += word_rows(word, ROWS)
                owners.append(i)
            offsets += [len(rows)] * GAP  # an empty bag is a vector of zeros
            owners += [len(phrases)] * GAP
        owner = torch.tensor(owners)  # [W]
        is_word = (owner < len(phrases)).float()  # [W]
        x = self.dropout(self.table(torch.tensor(rows), torch.tensor(offsets))).T[None]  # [1, D, W]
        x = self.dropout(F.relu(self.conv1(x)) * is_word)
        x = (x + F.relu(self.conv2(x))) * is_word  # [1, H, W]
        pooled = torch.zeros(len(phrases) + 1, FEATURES)
        pooled = pooled.scatter_reduce(0, owner[:, None].expand(-1, FEATURES), x[0].T, "amax")[:-1]  # [B, H]
        image_counts = torch.tensor([(1.0, 0.0) if p.n_images <= 1 else (0.0, 1.0) for p in phrases])
        hidden = F.relu(self.hidden(self.dropout(torch.cat([pooled, image_counts], dim=1))))
        return self.out(hidden)

    def weights(self) -> dict[str, np.ndarray]:
        """The weights in the layout that the numpy router multiplies with, as float16."""
        tensors = {name: value.detach() for name, value in self.state_dict().items()}
        tensors["table"] = tensors.pop("table.weight")
        for name in ("conv1.weight", "conv2.weight"):
            tensors[name] = tensors[name].permute(2, 1, 0).flatten(0, 1)  # [H, D, 3] -> [3 * D, H]
        return {name: np.ascontiguousarray(value.numpy().astype(np.float16)) for name, value in tensors.items()}


def targets(phrases: list[Phrase]) -> torch.Tensor:
    """1 where a phrase asks for the task, [B, tasks]."""
    return torch.tensor([[float(task in phrase.tasks) for task in TASKS] for phrase in phrases])


def fit(folder: Path, steps: int, seed: int, corrections: list[Phrase], part: str = "all") -> RouterNet:
    """Trains for `steps` batches that depend on nothing but the step, so that a stopped run can go on."""
    torch.manual_seed(seed)
    net = RouterNet()
    grammar = Grammar(seed, part)

    def step_losses(step: int) -> loop.Losses:
        grammar.random = random.Random(f"{seed} {step}")
        torch.manual_seed(seed * 1_000_003 + step)
        phrases = list(grammar.phrases(BATCH))
        for i in range(min(len(corrections), BATCH // 8)):
            phrases[i] = grammar.retyped(grammar.random.choice(corrections))
        each = F.binary_cross_entropy_with_logits(net(phrases), targets(phrases), reduction="none").mean(0)
        return {"loss": each.mean(), **dict(zip(TASKS, each, strict=True))}

    net.train()
    loop.run(folder, {"net": net}, step_losses, steps=steps, lr=3e-3, weight_decay=0.01, save_every=500)
    return net.eval()


def calibrated(net: RouterNet, phrases: list[Phrase]) -> Router:
    """The router with the temperature of least cross-entropy and the threshold of most right decisions on `phrases`.

    Temperature scaling: https://arxiv.org/abs/1706.04599.
    """
    with torch.no_grad():
        logits, reference = net(phrases), targets(phrases)
    grid = np.geomspace(0.5, 4, 60)
    temperature = min(grid, key=lambda t: float(F.binary_cross_entropy_with_logits(logits / t, reference)))
    routers = [Router(net.weights(), float(temperature), threshold) for threshold in (0.5, 0.45, 0.4, 0.35, 0.3)]
    return max(routers, key=lambda router: report.measure(router, phrases)["right"])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000, help=f"batches of {BATCH} requests (default 3000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corrections", type=Path, default=ACCEPTED, help="JSONL that `train.router.review` wrote")
    parser.add_argument(
        "--hold-out", action="store_true", help="leave a part of the templates and nouns out, and measure on them"
    )
    parser.add_argument("--out", type=Path, default=bundled("router"), help="folder for the checkpoint")
    args = parser.parse_args()
    if args.steps < 50:
        parser.error("--steps: at least 50, the first point of the loss curves")
    torch.set_num_threads(1)

    corrections = read_corrections(args.corrections)
    if corrections:
        print(f"{args.corrections}: {len(corrections)} corrections")
    sources = [(FOLDER / f"{part}.txt").read_bytes() for part in ("grammar", "words")]
    part = "train" if args.hold_out else "all"
    fingerprint = zlib.crc32(b"".join(sources) + repr((args.steps, args.seed, part, corrections)).encode())
    folder = Path("runs/router") / f"{fingerprint:08x}"  # other data or settings are another run

    net = fit(folder, args.steps, args.seed, corrections, part)
    router = calibrated(net, read_phrases(FOLDER / "calibration.tsv"))

    args.out.mkdir(parents=True, exist_ok=True)
    save_file(net.weights(), args.out / "model.safetensors")
    config = {"tasks": list(TASKS), "temperature": router.temperature, "threshold": router.threshold}
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    shutil.copyfile(folder / "losses.png", args.out / "losses.png")

    router = Router.load(args.out)  # what is measured is what is shipped
    splits = {
        "test": read_phrases(TEST),
        "development": read_phrases(FOLDER / "development.tsv"),
        "calibration": read_phrases(FOLDER / "calibration.tsv"),
    }
    if args.hold_out:
        splits["validation"] = list(Grammar(args.seed + 1, "validation").phrases(4000))
    figures = {name: report.measure(router, phrases) for name, phrases in splits.items()}
    start = time.perf_counter()
    for phrase in splits["test"]:
        router.route(phrase.text, phrase.n_images)
    figures["milliseconds"] = 1000 * (time.perf_counter() - start) / len(splits["test"])
    report.write(args.out, router, splits, figures)
    print(report.table(figures))


if __name__ == "__main__":
    main()
